#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "shine/config/constraint.h"
#include "shine/config/stage_name.h"

namespace shine {

/// ours: memory embeddings, positions, C and new rows are not decayed; published: they are.
enum class DecayScope { ours, published };
constexpr std::array<std::string_view, 2> config_names(DecayScope) {
  return {"ours", "published"};
}

/// global: one norm over all gradients; per_group: one norm in each parameter group (published).
enum class ClipKind { global, per_group, none };
constexpr std::array<std::string_view, 3> config_names(ClipKind) {
  return {"global", "per_group", "none"};
}

/// tokens: mean over all labelled tokens of the step; micro_batch: mean of the micro-batches' means (published).
enum class LossAverage { tokens, micro_batch };
constexpr std::array<std::string_view, 2> config_names(LossAverage) {
  return {"tokens", "micro_batch"};
}

/// What a non-finite loss discards: its micro-batch, or the whole step. With `step` no number is read from the device
/// before the step's end.
enum class NonfiniteScope { micro_batch, step };
constexpr std::array<std::string_view, 2> config_names(NonfiniteScope) {
  return {"micro_batch", "step"};
}

enum class ScheduleKind { linear, cosine };
constexpr std::array<std::string_view, 2> config_names(ScheduleKind) {
  return {"linear", "cosine"};
}

/// AdamW, clipping, and the samples of one step.
struct OptimizerConfig {
  double learning_rate = 5e-5;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  DecayScope decay = DecayScope::ours;
  ClipKind clip = ClipKind::global;
  double clip_norm = 1.0;
  LossAverage loss_average = LossAverage::tokens;
  NonfiniteScope nonfinite = NonfiniteScope::micro_batch;
  int64_t batch_size = 1;
  int64_t accumulation = 4;
  int64_t pass_tokens = 0;
  bool shard = false;

  bool operator==(const OptimizerConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("learning_rate", learning_rate, "peak learning rate of AdamW", above(0));
    v("beta1", beta1, "decay of the first moment", from_to_below(0, 1));
    v("beta2", beta2, "decay of the second moment", from_to_below(0, 1));
    v("epsilon", epsilon, "added to the root of the second moment", above(0));
    v("weight_decay", weight_decay, "decoupled weight decay", at_least(0));
    v("decay", decay, "published also decays memory embeddings, positions, C and new rows",
      unused_in(StageName::backbone));
    v("clip", clip, "gradient clipping: one norm for all, one per parameter group (published), or none");
    v("clip_norm", clip_norm, "largest gradient norm", above(0), unused_with("clip", {"none"}));
    v("loss_average", loss_average, "mean over the step's labelled tokens, or of micro-batch means (published)");
    v("nonfinite", nonfinite,
      "a non-finite loss drops its micro-batch, or the whole step: then no loss is read before the step's end");
    v("batch_size", batch_size, "groups of texts in one micro-batch", at_least(1));
    v("accumulation", accumulation, "micro-batches in one optimizer step, all ranks together", at_least(1));
    v("pass_tokens", pass_tokens,
      "consecutive micro-batches share a pass while they have at most this many tokens; 0 = each by itself",
      at_least(0), kChangesLastBits);
    v("shard", shard, "each rank keeps the moments of its share of the parameters only (ZeRO stage 1)",
      kChangesLastBits);
  }
};

/// The learning rate over the optimizer steps: linear warm-up from 0, then decay to final_ratio * learning_rate.
struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::linear;
  int64_t warmup_steps = 200;
  int64_t epochs = 1;
  double final_ratio = 0.0;

  bool operator==(const ScheduleConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("kind", kind, "form of the decay after the warm-up");
    v("warmup_steps", warmup_steps, "optimizer steps of linear warm-up; the first has rate 0", at_least(0));
    v("epochs", epochs, "passes over the training data", at_least(1));
    v("final_ratio", final_ratio, "last learning rate as a share of the peak", in_range(0, 1));
  }
};

}  // namespace shine
