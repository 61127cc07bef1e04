# shine_add_library(NAME [TORCH] HDRS .. SRCS ..)  one folder of src/ as objects of libshine
# shine_add_test(NAME [TORCH] [INTEGRATION] SRCS ..)  sources of one of the four test programs
# shine_add_tool(NAME [TORCH] SRCS .. [DEPS ..])   one program in bin/
# TORCH marks code that includes torch headers; all else also builds with SHINE_WITH_TORCH=OFF.

function(shine_add_library name)
  cmake_parse_arguments(ARG "TORCH" "" "HDRS;SRCS" ${ARGN})
  if(ARG_TORCH AND NOT SHINE_WITH_TORCH)
    return()
  endif()
  if(NOT ARG_SRCS)
    return()
  endif()
  set(target shine_layer_${name})
  add_library(${target} OBJECT ${ARG_SRCS})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include
                                           PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE shine_flags yaml-cpp spdlog::spdlog nlohmann_json::nlohmann_json
                                              CLI11::CLI11 PkgConfig::PCRE2 PkgConfig::UTF8PROC)
  if(ARG_TORCH)
    shine_use_torch(${target})
  endif()
  set_property(GLOBAL APPEND PROPERTY SHINE_OBJECTS $<TARGET_OBJECTS:shine_layer_${name}>)
endfunction()

# Torch's headers (as system headers), and the precompiled header shared by every target that uses them.
function(shine_use_torch target)
  target_include_directories(${target} SYSTEM PRIVATE ${TORCH_INCLUDE_DIRS})
  target_compile_options(${target} PRIVATE ${TORCH_CXX_FLAGS})
  # One precompiled header serves libraries and programs: all are compiled with -fPIC, none with -fPIE.
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  if(TARGET shine_pch)
    target_precompile_headers(${target} REUSE_FROM shine_pch)
  endif()
endfunction()

function(shine_add_tool name)
  cmake_parse_arguments(ARG "TORCH" "" "SRCS;DEPS" ${ARGN})
  if(ARG_TORCH AND NOT SHINE_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE shine shine_flags CLI11::CLI11 nlohmann_json::nlohmann_json ${ARG_DEPS})
  if(ARG_TORCH)
    shine_use_torch(${name})
    target_link_libraries(${name} PRIVATE ${TORCH_LIBRARIES})
  endif()
  set_property(GLOBAL APPEND PROPERTY SHINE_TOOLS ${name})
endfunction()

# Test sources are collected here and linked into few programs by tests/CMakeLists.txt.
function(shine_add_test name)
  cmake_parse_arguments(ARG "TORCH;INTEGRATION" "" "SRCS" ${ARGN})
  if(ARG_TORCH AND NOT SHINE_WITH_TORCH)
    return()
  endif()
  list(TRANSFORM ARG_SRCS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set(kind base)
  if(ARG_TORCH)
    set(kind torch)
  endif()
  if(ARG_INTEGRATION)
    string(APPEND kind _integration)
  endif()
  set_property(GLOBAL APPEND PROPERTY SHINE_TESTS_${kind} ${ARG_SRCS})
endfunction()
