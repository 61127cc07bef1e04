// Each rule of CUDA that the library knows, broken once, and the same call as it should be.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

extern "C" void __cudaRegisterFunction(void**, const char*, char*, const char*, int, uint3*, uint3*, dim3*, dim3*,
                                       int*);

namespace {

const char kernel = 0;  // what stands for a kernel's function on the host

class FakeCudaRules : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ::setenv("FAKE_CUDA_DEVICES", "2", /*overwrite=*/1);
    __cudaRegisterFunction(nullptr, &kernel, nullptr, "_Z6kernelPf", -1, nullptr, nullptr, nullptr, nullptr, nullptr);
  }
  void SetUp() override {
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, 0), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithPriority(&other_, cudaStreamNonBlocking, 0), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaMalloc(&memory_, kBytes), cudaSuccess);
    ASSERT_EQ(cudaHostAlloc(&pinned_, kBytes, cudaHostAllocDefault), cudaSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(cudaFree(memory_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(other_), cudaSuccess);
  }

  /// What an action says of broken rules.
  static std::string broken(const std::function<void()>& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }
  static cudaError_t launch(dim3 grid, dim3 block, std::size_t shared = 0, cudaStream_t stream = nullptr) {
    return cudaLaunchKernel(&kernel, grid, block, nullptr, shared, stream);
  }
  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) const {
    ASSERT_EQ(cudaStreamBeginCapture(stream_, mode), cudaSuccess);
  }
  cudaGraph_t end(cudaError_t expected = cudaSuccess) const {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), expected);
    return graph;
  }

  static constexpr std::size_t kBytes = 4096;
  cudaStream_t stream_ = nullptr, other_ = nullptr;
  cudaEvent_t event_ = nullptr;
  void *memory_ = nullptr, *pinned_ = nullptr;
};

void expect_said(const std::string& said, const std::string& part) {
  EXPECT_NE(said.find(part), std::string::npos) << said;
}

TEST_F(FakeCudaRules, LaunchesAreHeldToTheLimits) {
  EXPECT_EQ(broken([] { EXPECT_EQ(launch({65535, 65535, 1}, {1024, 1, 1}, 48 << 10), cudaSuccess); }), "");
  for (const auto& [grid, block] : {std::pair<dim3, dim3>{{1, 1, 1}, {1025, 1, 1}},
                                    {{1, 65536, 1}, {1, 1, 1}},
                                    {{0, 1, 1}, {32, 1, 1}},
                                    {{1, 1, 1}, {1, 1, 65}}}) {
    const dim3 blocks = grid, threads = block;
    expect_said(broken([&] { EXPECT_EQ(launch(blocks, threads), cudaErrorInvalidConfiguration); }), "past the limits");
  }
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(FakeCudaRules, MoreSharedMemoryIsAskedForFirst) {
  constexpr int bytes = 100 << 10;
  expect_said(broken([] { launch({1, 1, 1}, {32, 1, 1}, bytes); }), "shared memory");
  ASSERT_EQ(cudaFuncSetAttribute(&kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), cudaSuccess);
  EXPECT_EQ(broken([] { EXPECT_EQ(launch({1, 1, 1}, {32, 1, 1}, bytes), cudaSuccess); }), "");
  expect_said(broken([] {
                EXPECT_NE(cudaFuncSetAttribute(&kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10),
                          cudaSuccess);
              }),
              "shared memory");
}

TEST_F(FakeCudaRules, AnUnknownKernelIsNotLaunched) {
  static const char unknown = 0;
  expect_said(broken([] {
                EXPECT_EQ(cudaLaunchKernel(&unknown, {1, 1, 1}, {1, 1, 1}, nullptr, 0, nullptr),
                          cudaErrorInvalidDeviceFunction);
              }),
              "nothing registered");
}

TEST_F(FakeCudaRules, StreamsAndEventsBelongToADevice) {
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  expect_said(broken([&] { launch({1, 1, 1}, {1, 1, 1}, 0, stream_); }), "on a stream of device 0 while 1");
  expect_said(broken([&] { EXPECT_NE(cudaEventRecord(event_, nullptr), cudaSuccess); }), "stream of another device");
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(broken([&] { launch({1, 1, 1}, {1, 1, 1}, 0, stream_); }), "");
  EXPECT_EQ(broken([&] { EXPECT_EQ(cudaEventRecord(event_, stream_), cudaSuccess); }), "");
}

TEST_F(FakeCudaRules, CopiesStayWithinAllocationsAndBringZeros) {
  std::array<char, 8> host{1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_EQ(broken([&] {
              EXPECT_EQ(cudaMemcpyAsync(memory_, host.data(), 8, cudaMemcpyHostToDevice, stream_), cudaSuccess);
              EXPECT_EQ(cudaMemcpyAsync(host.data(), memory_, 8, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
            }),
            "");
  EXPECT_EQ(host[7], 0);
  expect_said(broken([&] {
                EXPECT_NE(
                    cudaMemcpyAsync(static_cast<char*>(memory_) + 1, pinned_, kBytes, cudaMemcpyHostToDevice, stream_),
                    cudaSuccess);
              }),
              "past the end");
  expect_said(broken([&] { cudaMemcpyAsync(host.data(), memory_, 8, cudaMemcpyHostToDevice, stream_); }),
              "another kind");
  expect_said(broken([&] { EXPECT_NE(cudaMemsetAsync(host.data(), 0, 8, stream_), cudaSuccess); }), "memset");
}

TEST_F(FakeCudaRules, MemoryIsFreedOnceAndRunsOut) {
  expect_said(broken([&] { EXPECT_NE(cudaFree(pinned_), cudaSuccess); }), "not allocated");
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, std::size_t{1} << 40), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  std::size_t before = 0, after = 0, all = 0;
  ASSERT_EQ(cudaMemGetInfo(&before, &all), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&more, 1 << 20), cudaSuccess);
  ASSERT_EQ(cudaMemGetInfo(&after, &all), cudaSuccess);
  EXPECT_EQ(before - after, 1U << 20);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
}

TEST_F(FakeCudaRules, TheProgramCannotReadTheDevice) {
  EXPECT_DEATH(std::exit(*static_cast<volatile char*>(memory_)), "");
}

TEST_F(FakeCudaRules, ACaptureCountsItsNodes) {
  cudaGraphExec_t executable = nullptr;
  EXPECT_EQ(broken([&] {
              begin();
              launch({1, 1, 1}, {32, 1, 1}, 0, stream_);
              cudaMemcpyAsync(memory_, pinned_, 8, cudaMemcpyHostToDevice, stream_);
              cudaGraph_t graph = end();
              std::size_t nodes = 0;
              ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
              EXPECT_EQ(nodes, 2U);
              ASSERT_EQ(cudaGraphInstantiateWithFlags(&executable, graph, 0), cudaSuccess);
              EXPECT_EQ(cudaGraphLaunch(executable, stream_), cudaSuccess);
              EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
            }),
            "");
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(FakeCudaRules, ACaptureForbidsWaitsAndAllocations) {
  void* more = nullptr;
  const std::array<std::function<cudaError_t()>, 5> calls{
      [&] { return cudaMalloc(&more, 8); }, [] { return cudaDeviceSynchronize(); },
      [&] { return cudaStreamSynchronize(stream_); }, [&] { return cudaStreamSynchronize(other_); },
      [&] { return cudaMemcpy(memory_, pinned_, 8, cudaMemcpyHostToDevice); }};
  for (const auto& call : calls) {
    begin();
    EXPECT_NE(broken([&] { EXPECT_NE(call(), cudaSuccess); }), "");
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(broken([&] { EXPECT_EQ(call(), cudaSuccess); }), "");
    EXPECT_EQ(cudaFree(std::exchange(more, nullptr)), cudaSuccess);
  }
  cudaGetLastError();
}

TEST_F(FakeCudaRules, AnotherThreadsCallsBreakAGlobalCaptureOnly) {
  const auto from_a_thread = [] { std::thread([] { cudaDeviceSynchronize(); }).join(); };
  begin(cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(broken(from_a_thread), "");
  EXPECT_EQ(cudaGraphDestroy(end()), cudaSuccess);
  begin();
  expect_said(broken(from_a_thread), "during a capture");
  EXPECT_EQ(end(cudaErrorStreamCaptureInvalidated), nullptr);
}

TEST_F(FakeCudaRules, ACaptureTakesNoPageableMemory) {
  std::array<char, 8> host{};
  begin();
  expect_said(broken([&] { cudaMemcpyAsync(memory_, host.data(), 8, cudaMemcpyHostToDevice, stream_); }), "pageable");
  EXPECT_EQ(cudaGraphDestroy(end()), cudaSuccess);
}

TEST_F(FakeCudaRules, AForkedStreamJoinsBeforeTheEnd) {
  const auto fork = [&] {
    begin();
    cudaEventRecord(event_, stream_);
    cudaStreamWaitEvent(other_, event_, 0);
    launch({1, 1, 1}, {1, 1, 1}, 0, other_);
  };
  const auto join = [&] {
    cudaEventRecord(event_, other_);
    cudaStreamWaitEvent(stream_, event_, 0);
  };
  EXPECT_EQ(broken([&] {
              fork();
              join();
              EXPECT_EQ(cudaGraphDestroy(end()), cudaSuccess);
            }),
            "");
  expect_said(broken([&] {
                fork();
                end(cudaErrorStreamCaptureUnjoined);
              }),
              "joins it");
  expect_said(broken([&] {
                fork();
                join();
                launch({1, 1, 1}, {1, 1, 1}, 0, other_);
                end(cudaErrorStreamCaptureUnjoined);
              }),
              "joins it");
}

TEST_F(FakeCudaRules, EventsStayInTheirCapture) {
  ASSERT_EQ(cudaEventRecord(event_, other_), cudaSuccess);
  begin();
  expect_said(broken([&] { EXPECT_NE(cudaStreamWaitEvent(stream_, event_, 0), cudaSuccess); }), "outside the capture");
  ASSERT_EQ(cudaEventRecord(event_, stream_), cudaSuccess);
  expect_said(broken([&] {
                std::thread([&] {
                  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
                  cudaThreadExchangeStreamCaptureMode(&mode);
                  EXPECT_NE(cudaEventQuery(event_), cudaSuccess);
                }).join();
              }),
              "recorded in a capture");
  EXPECT_EQ(cudaGraphDestroy(end()), cudaSuccess);
  expect_said(broken([] { cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal); }), "default stream");
}

TEST_F(FakeCudaRules, ProductsHaveFittingMatrices) {
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate_v2(&handle), CUBLAS_STATUS_SUCCESS);
  const float one = 1;
  const auto* a = static_cast<const float*>(memory_);
  auto* c = static_cast<float*>(memory_);
  // 4096 bytes hold 32 x 32 of float32.
  const auto multiply = [&](int m, int leading) {
    return cublasSgemm_v2(handle, CUBLAS_OP_T, CUBLAS_OP_N, m, 32, 16, &one, a, 16, a, 16, &one, c, leading);
  };
  EXPECT_EQ(broken([&] { EXPECT_EQ(multiply(32, 32), CUBLAS_STATUS_SUCCESS); }), "");
  expect_said(broken([&] { EXPECT_NE(multiply(32, 31), CUBLAS_STATUS_SUCCESS); }), "a product of");
  expect_said(broken([&] { EXPECT_NE(multiply(32, 33), CUBLAS_STATUS_SUCCESS); }), "past the device's memory");
  expect_said(broken([&] {
                cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &one, a, CUDA_R_16BF, 4, a, CUDA_R_32F, 4, &one,
                             c, CUDA_R_32F, 4, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
              }),
              "types");
  EXPECT_EQ(cublasDestroy_v2(handle), CUBLAS_STATUS_SUCCESS);
}

}  // namespace
