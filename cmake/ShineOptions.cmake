# Language level, warnings, sanitizers, output folders.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# libshine exports what SHINE_API marks. Programs too: they share its precompiled header.
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  # ccache accepts precompiled headers only with these two.
  set(ENV{CCACHE_SLOPPINESS} pch_defines,time_macros)
endif()

add_library(shine_flags INTERFACE)
target_compile_options(shine_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wunused)
if(SHINE_WERROR)
  target_compile_options(shine_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(shine_flags INTERFACE -Wduplicated-cond -Wlogical-op
                                               -Wno-restrict)  # gcc 12 sees overlaps in its own std::string
else()
  # clang 14 asks for braces around the elements of nested aggregates that the standard lets go without.
  target_compile_options(shine_flags INTERFACE -Wno-missing-braces)
endif()

if(SHINE_SANITIZE)
  if(SHINE_WITH_TORCH)
    message(FATAL_ERROR "SHINE_SANITIZE covers the code without torch: set SHINE_WITH_TORCH=OFF (preset asan)")
  endif()
  add_compile_options(-fsanitize=${SHINE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SHINE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # gcc 12, instrumented, sees uninitialised members in its own std::regex and std::function.
    target_compile_options(shine_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(SHINE_BUILD_FUZZERS)
  if(NOT SHINE_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "SHINE_BUILD_FUZZERS needs clang and SHINE_SANITIZE (preset asan)")
  endif()
  # Counts edges for the fuzzers; without a fuzzer's main the counters are only written.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
