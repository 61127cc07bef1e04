#include "bench/step_trace.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <cstdlib>
#include <filesystem>

#include "shine/common/error.h"
#include "tensor/peak_memory.h"

namespace shine::bench {

namespace profiler = torch::autograd::profiler;

StepTrace::StepTrace(at::Device device) : device_(device) {
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CPU};
  if (device.is_cuda()) activities.insert(torch::profiler::impl::ActivityType::CUDA);
  // Without a GPU its library would report that none is there.
  if (device.is_cpu()) ::setenv("KINETO_LOG_LEVEL", "6", /*overwrite=*/0);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
  recording_ = true;
}

StepTrace::~StepTrace() {
  if (recording_) profiler::disableProfiler();
}

void StepTrace::save(const std::string& file) {
  synchronize(device_);
  recording_ = false;
  const auto result = profiler::disableProfiler();
  std::filesystem::remove(file);
  result->save(file);
  SHINE_CHECK(std::filesystem::exists(file), IoError, file, ": the trace cannot be written");
}

}  // namespace shine::bench
