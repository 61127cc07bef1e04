#include "optim/gradient_reducer.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "shine/common/error.h"

namespace shine {

/// Called after a gradient has been added to `grad`.
class GradientReducer::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientReducer& reducer, std::size_t bucket) : reducer_(reducer), bucket_(bucket) {}
  void operator()(const torch::autograd::Variable&) override { reducer_.on_gradient(bucket_); }

 private:
  GradientReducer& reducer_;
  std::size_t bucket_;
};

GradientReducer::GradientReducer(const std::vector<ParamGroup>& groups, const ParameterLayout& layout,
                                 const FlatParameters& flat, ProcessGroup& group)
    : layout_(layout), flat_(flat), group_(group) {
  if (group_.size() == 1) return;
  for (std::size_t bucket = 0; bucket < layout_.buckets().size(); ++bucket) {
    for (const std::size_t index : layout_.buckets()[bucket].places) {
      const ParameterLayout::Place& place = layout_.places()[index];
      hooked_.push_back(groups[place.group].tensors[place.index]);
      torch::autograd::impl::set_post_acc_grad_hooks(hooked_.back(), std::make_unique<Hook>(*this, bucket));
    }
  }
}

GradientReducer::~GradientReducer() {
  for (const at::Tensor& tensor : hooked_) torch::autograd::impl::set_post_acc_grad_hooks(tensor, nullptr);
}

void GradientReducer::arm() {
  armed_ = group_.size() > 1;
  missing_.clear();
  for (const ParameterLayout::Bucket& bucket : layout_.buckets()) missing_.push_back(bucket.places.size());
}

void GradientReducer::on_gradient(std::size_t bucket) {
  if (!armed_) return;
  SHINE_CHECK(missing_[bucket] > 0, Error, "a gradient was added after its bucket had been sent to the other ranks");
  --missing_[bucket];
  start_ready();
}

void GradientReducer::start_ready() {
  while (started_ < layout_.buckets().size() && missing_[started_] == 0) start_next();
}

void GradientReducer::start_next() {
  const ParameterLayout::Bucket& bucket = layout_.buckets()[started_];
  const at::Tensor sums = flat_.gradients().narrow(0, bucket.begin, bucket.end - bucket.begin);
  if (layout_.pieces() == 1) {
    pending_.push_back(group_.start_all_reduce(sums, Reduction::sum));
  } else {
    const std::int64_t piece = layout_.piece_numel(bucket);
    pending_.push_back(group_.start_reduce_scatter(sums.narrow(0, group_.rank() * piece, piece), sums));
  }
  ++started_;
}

void GradientReducer::finish() {
  while (started_ < layout_.buckets().size()) start_next();
  for (const ProcessGroup::Pending& pending : pending_) pending->wait();
  pending_.clear();
  started_ = 0;
  armed_ = false;
}

}  // namespace shine
