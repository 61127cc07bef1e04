#include "shine/optim/adamw.h"

#include <ATen/ATen.h>

#include <cmath>

#include "common/timer.h"
#include "kernels/cuda/cuda_ops.h"
#include "optim/flat_parameters.h"
#include "optim/gradient_reducer.h"
#include "optim/update_rule.h"

namespace shine {

AdamW::AdamW(std::vector<ParamGroup> groups, const OptimizerConfig& config, std::shared_ptr<ProcessGroup> ranks,
             std::int64_t bucket_values)
    : groups_(std::move(groups)),
      config_(config),
      ranks_(std::move(ranks)),
      layout_(std::make_unique<ParameterLayout>(groups_, config_.shard ? ranks_->size() : 1, bucket_values)),
      flat_(std::make_unique<FlatParameters>(groups_, *layout_)),
      reducer_(std::make_unique<GradientReducer>(groups_, *layout_, *flat_, *ranks_)),
      moments_(std::make_unique<Moments>(groups_, *layout_, *flat_, *ranks_)) {
  const UpdateMemory memory{groups_, config_, *layout_, *flat_, *moments_};
  by_torch_ = make_torch_update(memory);
  by_kernels_ = make_cuda_update(memory);
}

AdamW::~AdamW() = default;

bool AdamW::sharded() const {
  return layout_->pieces() > 1;
}

void AdamW::begin_last_backward() {
  reducer_->arm();
}

void AdamW::reduce_gradients() {
  flat_->collect_gradients();
  reducer_->finish();
  reduced_ = true;
}

StepNorms AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  if (!reduced_) reduce_gradients();
  reduced_ = false;
  waited_seconds_ = 0.0;
  const auto rule = [&](CudaKernel kernel) -> UpdateRule& {
    const bool by_kernel = flat_->values().scalar_type() == at::kFloat && takes_cuda_kernel(kernel, flat_->values());
    return by_kernel ? *by_kernels_ : *by_torch_;
  };
  const at::Tensor squares = rule(CudaKernel::gradient_norm).squares(gradient_scale);
  if (sharded()) {
    const Timer timer;
    ranks_->all_reduce(squares);
    waited_seconds_ += timer.seconds();
  }
  const bool updated = rule(CudaKernel::adamw).update(squares, {learning_rate, gradient_scale, steps_ + 1});
  if (updated && sharded()) gather_values();
  StepNorms norms = norms_of(squares, groups_, *layout_);  // after the update: on a GPU the host waits here
  if (norms.finite) ++steps_;
  return norms;
}

/// Sends every rank's pieces to all.
void AdamW::gather_values() {
  const Timer timer;
  std::vector<ProcessGroup::Pending> pending;
  for (const ParameterLayout::Bucket& bucket : layout_->buckets()) {
    const at::Tensor whole = flat_->values().narrow(0, bucket.begin, bucket.end - bucket.begin);
    const std::int64_t piece = layout_->piece_numel(bucket);
    pending.push_back(ranks_->start_all_gather(whole, whole.narrow(0, ranks_->rank() * piece, piece)));
  }
  for (const ProcessGroup::Pending& one : pending) one->wait();
  waited_seconds_ += timer.seconds();
}

StepNorms norms_of(const at::Tensor& squares, const std::vector<ParamGroup>& groups, const ParameterLayout& layout) {
  const at::Tensor held = squares.to(at::kCPU);
  const auto* square = held.const_data_ptr<double>();
  StepNorms norms;
  for (const ParamGroup& group : groups) norms.tensor_norms.emplace_back(group.tensors.size());
  norms.group_norms.resize(groups.size());
  double all = 0.0;
  for (const ParameterLayout::Place& place : layout.places()) {
    norms.tensor_norms[place.group][place.index] = std::sqrt(*square);
    norms.group_norms[place.group] += *square;
    all += *square++;
  }
  for (double& norm : norms.group_norms) norm = std::sqrt(norm);
  norms.global_norm = std::sqrt(all);
  norms.finite = std::isfinite(all);
  return norms;
}

void AdamW::zero_gradients() {
  const at::NoGradGuard no_grad;
  flat_->collect_gradients();
  flat_->gradients().zero_();
}

std::int64_t AdamW::moment_bytes() const {
  return 2 * static_cast<std::int64_t>(moments_->first().nbytes());
}

std::int64_t AdamW::whole_moment_bytes() const {
  std::int64_t values = 0;
  for (const ParamGroup& group : groups_) values += group.numel();
  return 2 * values * static_cast<std::int64_t>(flat_->values().element_size());
}

std::vector<NamedTensor> AdamW::state() const {
  return moments_->state();
}

void AdamW::load_state(const std::map<std::string, at::Tensor>& moments, std::int64_t steps) {
  moments_->load(moments);
  const at::Tensor count = at::full({1}, steps, at::kLong);
  ranks_->broadcast(count, 0);
  steps_ = count.item<std::int64_t>();
}

}  // namespace shine
