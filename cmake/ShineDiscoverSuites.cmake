# shine_discover_suites(PROGRAM LABEL)  one ctest test for each suite of a GoogleTest program: a suite's fixture is set
# up once, and LibTorch is loaded once for all of its tests. Listed after each build, so that ctest needs no configure.
function(shine_discover_suites program label)
  set(list ${CMAKE_CURRENT_BINARY_DIR}/${program}_suites.cmake)
  add_custom_command(
    TARGET ${program} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${program}> -DLABEL=${label} -DLIST=${list}
            -P ${PROJECT_SOURCE_DIR}/cmake/ListSuites.cmake
    BYPRODUCTS ${list} VERBATIM)
  set(include_file ${CMAKE_CURRENT_BINARY_DIR}/${program}_include.cmake)
  file(WRITE ${include_file} "if(EXISTS \"${list}\")\n  include(\"${list}\")\nelse()\n"
                             "  add_test(${program}_NOT_BUILT ${program}_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include_file})
endfunction()
