// Stub of nccl_group.cpp for builds with a CPU-only LibTorch.
#include "distributed/backends.h"
#include "shine/common/error.h"

namespace shine {

std::unique_ptr<ProcessGroup> make_nccl_group(const Launch& launch, at::Device, const GroupOptions&) {
  throw UnsupportedError("this program was built without NCCL, which ranks on GPUs need", rank_label(launch),
                         "build with a LibTorch for CUDA, or start one process");
}

}  // namespace shine
