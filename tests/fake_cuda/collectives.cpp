// NCCL for a job of one rank: collectives are counted.
#include <nccl.h>

#include <string>

#include "fake_cuda/machine.h"

struct ncclComm {
  int device;
};

namespace {

ncclResult_t collective(const char* name, std::size_t count, cudaStream_t stream) {
  const bool here = fake_cuda::add_work("collective", std::string(name) + ", " + std::to_string(count) + " values",
                                        fake_cuda::resolve(stream));
  return here ? ncclSuccess : ncclInvalidArgument;
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int ranks, ncclUniqueId, int, ncclConfig_t*) {
  if (ranks != 1) {
    fake_cuda::broken_rule("NCCL here takes one rank, not " + std::to_string(ranks));
    return ncclInvalidArgument;
  }
  *communicator = new ncclComm{fake_cuda::current_device()};
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  delete communicator;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  return ncclCommDestroy(communicator);
}

ncclResult_t ncclCommFinalize(ncclComm_t) {
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t) {
  return "an error of fake_cuda";
}

const char* ncclGetLastError(ncclComm_t) {
  return "";
}

ncclResult_t ncclAllReduce(const void*, void*, std::size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                           cudaStream_t stream) {
  return collective("all-reduce", count, stream);
}

ncclResult_t ncclReduceScatter(const void*, void*, std::size_t count, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                               cudaStream_t stream) {
  return collective("reduce-scatter", count, stream);
}

ncclResult_t ncclAllGather(const void*, void*, std::size_t count, ncclDataType_t, ncclComm_t, cudaStream_t stream) {
  return collective("all-gather", count, stream);
}

ncclResult_t ncclBcast(void*, std::size_t count, ncclDataType_t, int, ncclComm_t, cudaStream_t stream) {
  return collective("broadcast", count, stream);
}

ncclResult_t ncclBroadcast(const void*, void*, std::size_t count, ncclDataType_t, int, ncclComm_t,
                           cudaStream_t stream) {
  return collective("broadcast", count, stream);
}
