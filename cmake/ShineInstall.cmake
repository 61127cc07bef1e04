# cmake --install: programs, libshine, headers and the package that find_package(shine) reads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set_target_properties(shine PROPERTIES INSTALL_RPATH "${SHINE_TORCH_RPATH}")
foreach(tool IN LISTS shine_tools)
  set_target_properties(${tool} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${SHINE_TORCH_RPATH}")
endforeach()
install(TARGETS shine ${shine_tools} EXPORT shineTargets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/shine DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT shineTargets NAMESPACE shine:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shine)
configure_package_config_file(cmake/shineConfig.cmake.in ${CMAKE_BINARY_DIR}/shineConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shine)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/shineConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/shineConfig.cmake ${CMAKE_BINARY_DIR}/shineConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/shine)
