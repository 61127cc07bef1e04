#include "shine/optim/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "common/timer.h"
#include "kernels/cuda/cuda_ops.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// PyTorch's clip_grad_norm_: clip / (norm + 1e-6), never above 1.
double clip_factor(double norm, double limit) {
  return std::min(1.0, limit / (norm + 1e-6));
}

const char* const kFirst = "exp_avg.";
const char* const kSecond = "exp_avg_sq.";

}  // namespace

AdamW::AdamW(std::vector<ParamGroup> groups, const OptimizerConfig& config, std::shared_ptr<ProcessGroup> ranks,
             std::int64_t bucket_values)
    : groups_(std::move(groups)),
      config_(config),
      ranks_(std::move(ranks)),
      layout_(groups_, sharded() ? ranks_->size() : 1, bucket_values),
      flat_(groups_, layout_) {
  const auto form = sharded() ? GradientReducer::Form::reduce_scatter : GradientReducer::Form::all_reduce;
  reducer_ = std::make_unique<GradientReducer>(groups_, layout_, flat_, *ranks_, form);
  make_parts();
}

AdamW::~AdamW() = default;

void AdamW::make_parts() {
  const std::vector<ParameterLayout::Slice> slices = layout_.slices(sharded() ? ranks_->rank() : 0);
  std::int64_t total = 0;
  for (const ParameterLayout::Slice& slice : slices) total += slice.numel;
  first_moments_ = at::zeros({total}, flat_.values().options());
  second_moments_ = at::zeros({total}, flat_.values().options());
  std::int64_t offset = 0;
  for (const ParameterLayout::Slice& slice : slices) {
    const ParameterLayout::Place& place = layout_.places()[slice.place];
    parts_.push_back(
        {place.group, place.index, slice.place, slice.begin, offset, flat_.values().narrow(0, slice.begin, slice.numel),
         flat_.gradients().narrow(0, slice.begin, slice.numel), first_moments_.narrow(0, offset, slice.numel),
         second_moments_.narrow(0, offset, slice.numel), at::zeros({}, flat_.values().options().dtype(at::kFloat))});
    offset += slice.numel;
  }
}

void AdamW::reduce_gradients() {
  flat_.collect_gradients();
  reducer_->finish();
  reduced_ = true;
}

bool AdamW::uses_kernel() const {
  return flat_.values().scalar_type() == at::kFloat && takes_cuda_kernel(CudaKernel::adamw, flat_.values());
}

CudaOptimizer& AdamW::kernels() {
  if (kernels_) return *kernels_;
  std::vector<cuda::FlatRange> ranges;
  for (const Part& part : parts_) {
    ranges.push_back({part.begin, part.offset, part.value.numel(), static_cast<std::int32_t>(part.group),
                      static_cast<std::int64_t>(part.place)});
  }
  std::vector<std::int64_t> place_groups;
  for (const ParameterLayout::Place& place : layout_.places()) {
    place_groups.push_back(static_cast<std::int64_t>(place.group));
  }
  std::vector<double> weight_decay;
  for (const ParamGroup& group : groups_) weight_decay.push_back(group.weight_decay);
  kernels_ = std::make_unique<CudaOptimizer>(ranges, place_groups, weight_decay, flat_.values().device());
  return *kernels_;
}

/// Of the gradients times the scale, by place, of all ranks: (places), float64, on the CPU or the gradients' device.
at::Tensor AdamW::squares(double gradient_scale) {
  at::Tensor squares;
  if (flat_.gradients().scalar_type() == at::kFloat &&
      takes_cuda_kernel(CudaKernel::gradient_norm, flat_.gradients())) {
    squares = kernels().squares(flat_.gradients(), gradient_scale);
  } else {
    squares = at::zeros({static_cast<std::int64_t>(layout_.places().size())}, at::kDouble);
    std::vector<at::Tensor> gradients;
    for (const Part& part : parts_) gradients.push_back(part.gradient);
    if (!gradients.empty()) {  // one transfer from the device
      const at::Tensor norms =
          (at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble) * gradient_scale).to(at::kCPU);
      auto* square = squares.mutable_data_ptr<double>();
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        const double norm = norms.const_data_ptr<double>()[i];
        square[parts_[i].place] += norm * norm;
      }
    }
  }
  if (sharded()) {
    const Timer timer;
    ranks_->all_reduce(squares);
    waited_seconds_ += timer.seconds();
  }
  return squares;
}

StepNorms AdamW::norms_of(const at::Tensor& squares) const {
  const at::Tensor held = squares.to(at::kCPU);
  const auto* square = held.const_data_ptr<double>();
  StepNorms norms;
  for (const ParamGroup& group : groups_) norms.tensor_norms.emplace_back(group.tensors.size());
  norms.group_norms.resize(groups_.size());
  double all = 0.0;
  for (std::size_t i = 0; i < layout_.places().size(); ++i) {
    const ParameterLayout::Place& place = layout_.places()[i];
    norms.tensor_norms[place.group][place.index] = std::sqrt(square[i]);
    norms.group_norms[place.group] += square[i];
    all += square[i];
  }
  for (double& norm : norms.group_norms) norm = std::sqrt(norm);
  norms.global_norm = std::sqrt(all);
  norms.finite = std::isfinite(all);
  return norms;
}

StepNorms AdamW::step(double learning_rate, double gradient_scale) {
  const at::NoGradGuard no_grad;
  if (!reduced_) reduce_gradients();
  reduced_ = false;
  waited_seconds_ = 0.0;
  if (uses_kernel()) return step_by_kernel(learning_rate, gradient_scale);
  StepNorms norms = norms_of(squares(gradient_scale));
  if (!norms.finite) return norms;
  ++steps_;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    double factor = gradient_scale;
    if (config_.clip == ClipKind::global) factor *= clip_factor(norms.global_norm, config_.clip_norm);
    if (config_.clip == ClipKind::per_group) factor *= clip_factor(norms.group_norms[i], config_.clip_norm);
    update_group(i, factor, learning_rate);
  }
  if (sharded()) gather_values();
  return norms;
}

StepNorms AdamW::step_by_kernel(double learning_rate, double gradient_scale) {
  const at::Tensor sums = squares(gradient_scale).to(flat_.values().device());
  ClipForm form = ClipForm::none;
  if (config_.clip == ClipKind::global) form = ClipForm::global;
  if (config_.clip == ClipKind::per_group) form = ClipForm::per_group;
  kernels().set_factors(sums, form, gradient_scale, config_.clip_norm);
  kernels().update({flat_.values(), flat_.gradients(), first_moments_, second_moments_},
                   {learning_rate, config_.beta1, config_.beta2, config_.epsilon, steps_ + 1});
  if (sharded()) gather_values();
  StepNorms norms = norms_of(sums);
  if (!norms.finite) return norms;
  ++steps_;
  std::vector<at::Tensor> ages;
  for (const Part& part : parts_) ages.push_back(part.steps);
  if (!ages.empty()) at::_foreach_add_(ages, 1.0);
  return norms;
}

void AdamW::update_group(std::size_t group, double factor, double learning_rate) {
  std::vector<at::Tensor> values, gradients, first, second, steps;
  for (const Part& part : parts_) {
    if (part.group != group) continue;
    values.push_back(part.value);
    gradients.push_back(part.gradient);
    first.push_back(part.first);
    second.push_back(part.second);
    steps.push_back(part.steps);
  }
  if (values.empty()) return;
  if (factor != 1.0) at::_foreach_mul_(gradients, factor);
  at::_foreach_add_(steps, 1.0);
  at::_fused_adamw_(values, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps, learning_rate, config_.beta1,
                    config_.beta2, groups_[group].weight_decay, config_.epsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
}

void AdamW::gather_values() {
  const Timer timer;
  std::vector<ProcessGroup::Pending> pending;
  for (const ParameterLayout::Bucket& bucket : layout_.buckets()) {
    const at::Tensor whole = flat_.values().narrow(0, bucket.begin, bucket.end - bucket.begin);
    const std::int64_t piece = layout_.piece_numel(bucket);
    pending.push_back(ranks_->start_all_gather(whole, whole.narrow(0, ranks_->rank() * piece, piece)));
  }
  for (const ProcessGroup::Pending& one : pending) one->wait();
  waited_seconds_ += timer.seconds();
}

void AdamW::zero_gradients() {
  const at::NoGradGuard no_grad;
  flat_.collect_gradients();
  flat_.gradients().zero_();
}

std::int64_t AdamW::moment_bytes() const {
  return 2 * static_cast<std::int64_t>(first_moments_.nbytes());
}

std::int64_t AdamW::whole_moment_bytes() const {
  std::int64_t values = 0;
  for (const ParamGroup& group : groups_) values += group.numel();
  return 2 * values * static_cast<std::int64_t>(first_moments_.element_size());
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  if (sharded()) return gather_moments();
  std::map<std::pair<std::size_t, std::size_t>, const Part*> by_tensor;
  for (const Part& part : parts_) by_tensor[{part.group, part.index}] = &part;
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (const auto& [tensor, part] : by_tensor) {
    const ParamGroup& group = groups_[tensor.first];
    const at::IntArrayRef sizes = group.tensors[tensor.second].sizes();
    all.emplace_back(kFirst + group.names[tensor.second], part->first.view(sizes));
    all.emplace_back(kSecond + group.names[tensor.second], part->second.view(sizes));
  }
  return all;
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::gather_moments() const {
  const at::NoGradGuard no_grad;
  std::map<std::pair<std::size_t, std::size_t>, std::pair<at::Tensor, at::Tensor>> whole;
  for (const ParameterLayout::Bucket& bucket : layout_.buckets()) {
    const std::int64_t piece = layout_.piece_numel(bucket), first = bucket.begin + ranks_->rank() * piece;
    for (const auto moment : {&Part::first, &Part::second}) {
      const at::Tensor all = at::zeros({bucket.end - bucket.begin}, flat_.values().options());
      const at::Tensor mine = all.narrow(0, ranks_->rank() * piece, piece);
      for (const Part& part : parts_) {
        if (part.begin < first || part.begin >= first + piece) continue;
        mine.narrow(0, part.begin - first, (part.*moment).numel()).copy_(part.*moment);
      }
      ranks_->all_gather(all, mine);
      if (!ranks_->is_first()) continue;
      const at::Tensor held = all.to(at::kCPU);
      for (const std::size_t index : bucket.places) {
        const ParameterLayout::Place& place = layout_.places()[index];
        const at::IntArrayRef sizes = groups_[place.group].tensors[place.index].sizes();
        auto& [first_moment, second_moment] = whole[{place.group, place.index}];
        (moment == &Part::first ? first_moment : second_moment) =
            held.narrow(0, place.begin - bucket.begin, place.numel).view(sizes);
      }
    }
  }
  std::vector<std::pair<std::string, at::Tensor>> named;
  for (const auto& [tensor, moments] : whole) {
    const std::string& name = groups_[tensor.first].names[tensor.second];
    named.emplace_back(kFirst + name, moments.first);
    named.emplace_back(kSecond + name, moments.second);
  }
  return named;
}

void AdamW::check_state(const std::map<std::string, at::Tensor>& moments) const {
  const std::size_t expected = 2 * layout_.places().size();
  SHINE_CHECK(moments.size() == expected, FormatError, "optimizer state of ", moments.size(), " tensors, expected ",
              expected);
  for (const ParamGroup& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      for (const char* prefix : {kFirst, kSecond}) {
        const std::string name = prefix + group.names[i];
        const auto found = moments.find(name);
        SHINE_CHECK(found != moments.end(), FormatError, "optimizer state lacks ", name);
        SHINE_CHECK(found->second.sizes() == group.tensors[i].sizes(), FormatError, "optimizer state ", name,
                    " has shape ", found->second.sizes(), ", expected ", group.tensors[i].sizes());
      }
    }
  }
}

void AdamW::load_state(const std::map<std::string, at::Tensor>& moments, std::int64_t steps) {
  const at::NoGradGuard no_grad;
  if (ranks_->is_first()) check_state(moments);
  const at::Tensor count = at::full({1}, steps, at::kLong);
  ranks_->broadcast(count, 0);
  for (std::size_t i = 0; i < layout_.places().size(); ++i) {
    const ParameterLayout::Place& place = layout_.places()[i];
    const std::string& name = groups_[place.group].names[place.index];
    for (const auto& [prefix, moment] : {std::pair{kFirst, &Part::first}, std::pair{kSecond, &Part::second}}) {
      const at::Tensor whole = at::empty({place.numel}, flat_.values().options());
      if (ranks_->is_first()) whole.copy_(moments.at(prefix + name).reshape({-1}));
      ranks_->broadcast(whole, 0);
      load_moment(whole, i, moment);
    }
  }
  steps_ = count.item<std::int64_t>();
  for (const Part& part : parts_) part.steps.fill_(static_cast<double>(steps_));
}

void AdamW::load_moment(const at::Tensor& whole, std::size_t place, at::Tensor Part::*moment) {
  for (const Part& part : parts_) {
    if (part.place != place) continue;
    const std::int64_t from = part.begin - layout_.places()[place].begin;
    (part.*moment).copy_(whole.narrow(0, from, (part.*moment).numel()));
  }
}

}  // namespace shine
