# Everything from outside. Debian's packages first: Torch's config must come last.
find_package(Threads REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
if(SHINE_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

if(NOT SHINE_WITH_TORCH)
  return()
endif()

if(SHINE_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

# LibTorch: CMAKE_PREFIX_PATH or Torch_DIR from the user, else the wheel that scripts/setup.sh put into .venv.
file(GLOB shine_site_packages ${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages)
if(NOT Torch_DIR AND NOT CMAKE_PREFIX_PATH AND shine_site_packages)
  list(GET shine_site_packages 0 shine_site_packages)
  set(Torch_DIR ${shine_site_packages}/torch/share/cmake/Torch CACHE PATH "LibTorch's CMake folder")
endif()

# The CUDA wheel's config needs an nvcc, though no GPU: the system's, else the one in .venv.
find_program(SHINE_NVCC nvcc HINTS /usr/local/cuda/bin ENV CUDA_HOME PATH_SUFFIXES bin)
if(NOT SHINE_NVCC AND EXISTS ${shine_site_packages}/nvidia/cu13/bin/nvcc)
  set(SHINE_NVCC ${shine_site_packages}/nvidia/cu13/bin/nvcc CACHE FILEPATH "nvcc" FORCE)
endif()
if(SHINE_NVCC)
  get_filename_component(shine_cuda_root ${SHINE_NVCC} DIRECTORY)
  get_filename_component(shine_cuda_root ${shine_cuda_root} DIRECTORY)
  set(CUDA_TOOLKIT_ROOT_DIR ${shine_cuda_root} CACHE PATH "CUDA toolkit")
  set(CUDAToolkit_ROOT ${shine_cuda_root} CACHE PATH "CUDA toolkit")
  set(CMAKE_CUDA_COMPILER ${SHINE_NVCC} CACHE FILEPATH "nvcc")
endif()
find_package(Torch REQUIRED)
# The wheel's flags hold definitions only; its include folders come with the imported target.
separate_arguments(TORCH_CXX_FLAGS)
message(STATUS "LibTorch ${Torch_VERSION} at ${TORCH_INSTALL_PREFIX}")
