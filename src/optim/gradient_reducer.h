#pragma once

#include <memory>
#include <vector>

#include "optim/flat_parameters.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// Sums the gradients of all ranks, once a step: bucket by bucket in the layout's order, which is the same on every
/// rank, each started as soon as the last backward has filled it and those before it. Every rank gets all sums or, with
/// a sharded layout, those of its piece of every bucket.
class GradientReducer {
 public:
  /// @param groups, layout, flat  of the optimizer; they must outlive this object
  GradientReducer(const std::vector<ParamGroup>& groups, const ParameterLayout& layout, const FlatParameters& flat,
                  ProcessGroup& group);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// The next backward is the last of this step on this rank.
  void arm();

  /// Starts the remaining buckets (all of them on a rank without a last backward) and waits for all.
  void finish();

 private:
  class Hook;

  void on_gradient(std::size_t bucket);
  void start_ready();
  void start_next();

  const ParameterLayout& layout_;
  const FlatParameters& flat_;
  ProcessGroup& group_;
  std::vector<at::Tensor> hooked_;
  std::vector<std::size_t> missing_;  ///< tensors of each bucket whose gradient is still to come
  std::vector<ProcessGroup::Pending> pending_;
  std::size_t started_ = 0;  ///< buckets
  bool armed_ = false;
};

}  // namespace shine
