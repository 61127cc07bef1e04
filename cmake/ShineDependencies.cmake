# Everything from outside. Debian's packages first: Torch's config must come last.
find_package(Threads REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_package(ZLIB REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
# Trains tokenizers in shine_prepare, never beside LibTorch: both define FLAGS_minloglevel, with different sizes.
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
# Edits the lines of a chat in shine_generate alone.
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
# What the code without LibTorch is compiled against and linked with.
set(SHINE_BASE_LIBRARIES Threads::Threads yaml-cpp spdlog::spdlog nlohmann_json::nlohmann_json CLI11::CLI11
                         PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::XXHASH PkgConfig::ZSTD ZLIB::ZLIB)
if(SHINE_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

if(NOT SHINE_WITH_TORCH)
  return()
endif()

# Ranks on CPUs communicate over MPI; without it everything else works.
if(SHINE_WITH_MPI)
  find_package(MPI COMPONENTS C)
endif()

# What scripts/setup.sh put into .venv: LibTorch and, where the machine has no CUDA 13, nvcc.
file(GLOB shine_site_packages ${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages)
if(EXISTS ${shine_site_packages}/nvidia/cu13/bin/nvcc)
  set(shine_wheel_cuda ${shine_site_packages}/nvidia/cu13)
endif()

# A CUDA build of LibTorch needs an nvcc even without a GPU: the user's (SHINE_NVCC or CUDAToolkit_ROOT), else that of
# .venv, else the machine's.
find_program(SHINE_NVCC nvcc PATH_SUFFIXES bin
             HINTS ${CUDAToolkit_ROOT} ${shine_wheel_cuda} ENV CUDA_HOME /usr/local/cuda)
if(SHINE_NVCC)
  cmake_path(GET SHINE_NVCC PARENT_PATH shine_cuda_root)
  cmake_path(GET shine_cuda_root PARENT_PATH shine_cuda_root)
  set(CUDA_TOOLKIT_ROOT_DIR ${shine_cuda_root} CACHE PATH "CUDA toolkit")
  set(CUDAToolkit_ROOT ${shine_cuda_root} CACHE PATH "CUDA toolkit")
  set(CMAKE_CUDA_COMPILER ${SHINE_NVCC} CACHE FILEPATH "nvcc")
endif()
# LibTorch: the user's Torch_DIR or CMAKE_PREFIX_PATH, else that of .venv.
find_package(Torch REQUIRED HINTS ${shine_site_packages}/torch/share/cmake)
# The wheel's flags hold definitions only; its include folders come with the imported target.
separate_arguments(TORCH_CXX_FLAGS)
# Those of the imported target, for objects that do not link it: one precompiled header serves all.
get_target_property(SHINE_TORCH_DEFINITIONS torch_cpu INTERFACE_COMPILE_DEFINITIONS)
if(NOT SHINE_TORCH_DEFINITIONS)
  set(SHINE_TORCH_DEFINITIONS "")
endif()
message(STATUS "LibTorch ${Torch_VERSION} at ${TORCH_INSTALL_PREFIX}")

# Ranks on GPUs talk by NCCL, which a LibTorch for CUDA brings; its header lies in the wheel beside it or in the toolkit.
if(TARGET torch_cuda AND EXISTS ${TORCH_INSTALL_PREFIX}/include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp)
  find_path(SHINE_NCCL_INCLUDE_DIR nccl.h HINTS ${TORCH_INSTALL_PREFIX}/../nvidia/nccl/include ${CUDAToolkit_INCLUDE_DIRS})
endif()
