#include <ATen/ATen.h>

#include <optional>

#include "kernels/cuda/cuda_ops.h"
#include "optim/update_rule.h"

namespace shine {
namespace {

class CudaUpdate : public UpdateRule {
 public:
  explicit CudaUpdate(const UpdateMemory& memory) : memory_(memory) {}

  at::Tensor squares(double gradient_scale) override {
    return kernels().squares(memory_.flat.gradients(), gradient_scale);
  }

  bool update(const at::Tensor& squares, const StepRates& rates) override {
    const OptimizerConfig& config = memory_.config;
    const FlatParameters& flat = memory_.flat;
    kernels().set_factors(squares.to(flat.values().device()), config.clip, rates.gradient_scale, config.clip_norm);
    kernels().update({flat.values(), flat.gradients(), memory_.moments.first(), memory_.moments.second()},
                     {rates.learning_rate, config.beta1, config.beta2, config.epsilon, rates.step});
    return true;
  }

 private:
  /// With tables on the GPU, built at the first call.
  CudaOptimizer& kernels() {
    if (kernels_) return *kernels_;
    std::vector<cuda::FlatRange> ranges;
    for (const Moments::Part& part : memory_.moments.parts()) {
      ranges.push_back({part.begin, part.offset, part.value.numel(), static_cast<std::int32_t>(part.group),
                        static_cast<std::int64_t>(part.place)});
    }
    std::vector<std::int64_t> place_groups;
    for (const ParameterLayout::Place& place : memory_.layout.places()) {
      place_groups.push_back(static_cast<std::int64_t>(place.group));
    }
    std::vector<double> weight_decay;
    for (const ParamGroup& group : memory_.groups) weight_decay.push_back(group.weight_decay);
    return kernels_.emplace(ranges, place_groups, weight_decay, memory_.flat.values().device());
  }

  UpdateMemory memory_;
  std::optional<CudaOptimizer> kernels_;
};

}  // namespace

std::unique_ptr<UpdateRule> make_cuda_update(const UpdateMemory& memory) {
  return std::make_unique<CudaUpdate>(memory);
}

}  // namespace shine
