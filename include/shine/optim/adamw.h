#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/optimizer_config.h"
#include "shine/distributed/process_group.h"
#include "shine/optim/param_groups.h"
#include "shine/tensor/named_tensor.h"

namespace shine {

/// What one call of AdamW::step did; the same on every rank.
struct StepNorms {
  std::vector<double> group_norms;                ///< of the gradient, before clipping, in the order of the groups
  std::vector<std::vector<double>> tensor_norms;  ///< the same for each tensor of each group
  double global_norm = 0.0;
  bool finite = true;  ///< false: the gradient was not finite and nothing was changed
};

class FlatParameters;
class GradientReducer;
class Moments;
class ParameterLayout;
class UpdateRule;

/// AdamW (Loshchilov and Hutter) over parameter groups, with gradient clipping, over the ranks of a process group.
/// Moments have the parameters' dtype (trained leaves are float32) and device.
///
/// optimizer.shard is ZeRO stage 1 (Rajbhandari et al. 2020): each rank keeps the moments of one piece of every bucket,
/// receives the summed gradients of that piece, updates it and sends it to the others.
class SHINE_API AdamW {
 public:
  /// Moves the tensors into flat buffers (see FlatParameters). Every rank passes the same groups.
  /// @param bucket_values  see ParameterLayout
  AdamW(std::vector<ParamGroup> groups, const OptimizerConfig& config,
        std::shared_ptr<ProcessGroup> ranks = single_process(), std::int64_t bucket_values = kDefaultBucketValues);
  ~AdamW();

  static constexpr std::int64_t kDefaultBucketValues = std::int64_t{6} << 20;  ///< 24 MiB

  /// The next backward is the last one before reduce_gradients: gradients may be reduced as they become complete.
  void begin_last_backward();

  /// Adds up the gradients of all ranks. Every rank calls it once a step, whatever happened to its micro-batches.
  void reduce_gradients();

  /// Clips the summed gradients in place and updates the parameters on every rank. `gradient_scale` multiplies the
  /// gradients first. A non-finite gradient skips the step, on all ranks. The CUDA kernel (CudaKernel::adamw) clips as
  /// it reads and leaves the gradients as they are; with CudaKernel::gradient_norm the host waits once, for the norms,
  /// after the update, else before it.
  StepNorms step(double learning_rate, double gradient_scale = 1.0);

  /// Seconds that the last `step` waited for other ranks, only with sharding. On a GPU the host does not wait for the
  /// exchanged parameters, which are not counted.
  double waited_seconds() const { return waited_seconds_; }

  /// Sets all gradients to zero.
  void zero_gradients();

  const std::vector<ParamGroup>& groups() const { return groups_; }
  ProcessGroup& ranks() const { return *ranks_; }

  /// Steps taken (skipped ones not counted): the t of the bias correction.
  std::int64_t steps() const { return steps_; }

  /// Bytes of both moments on this rank, and what they would be without sharding.
  std::int64_t moment_bytes() const;
  std::int64_t whole_moment_bytes() const;

  /// The moments by name: "exp_avg.NAME", "exp_avg_sq.NAME". Not copies: later steps change them. With sharding every
  /// rank must call; the first gets them all, copied to main memory, the others nothing.
  std::vector<NamedTensor> state() const;

  /// Restores what `state` and `steps` returned, for any number of ranks, sharded or not. Every rank calls; the first
  /// rank's arguments count. Throws FormatError for missing, unexpected or mis-shaped moments; nothing is changed then.
  void load_state(const std::map<std::string, at::Tensor>& moments, std::int64_t steps);

 private:
  bool sharded() const;
  void gather_values();

  std::vector<ParamGroup> groups_;
  OptimizerConfig config_;
  std::shared_ptr<ProcessGroup> ranks_;
  std::unique_ptr<ParameterLayout> layout_;
  std::unique_ptr<FlatParameters> flat_;
  std::unique_ptr<GradientReducer> reducer_;
  std::unique_ptr<Moments> moments_;
  std::unique_ptr<UpdateRule> by_torch_, by_kernels_;
  std::int64_t steps_ = 0;
  bool reduced_ = false;
  double waited_seconds_ = 0.0;
};

}  // namespace shine
