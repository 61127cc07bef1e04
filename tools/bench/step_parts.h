#pragma once

#include <array>
#include <string_view>

#include "shine/train/objective.h"

namespace shine::bench {

/// The parts of an optimizer step, in the order in which they run.
enum class Part {
  memory_pass,
  m2p,
  slicing,
  conversation,
  head,
  head_backward,
  conversation_backward,
  slicing_backward,
  m2p_backward,
  memory_pass_backward,
  optimizer,
  communication
};
inline constexpr std::size_t kParts = 12;

/// "memory_pass", ..
std::string_view name_of(Part part);

/// Seconds of each part.
using PartSeconds = std::array<double, kParts>;

/// Splits a step's wall-clock time among its parts: every moment belongs to the part whose end comes next.
class PartClock {
 public:
  explicit PartClock(at::Device device) : device_(device) {}

  void start();
  void end_of(Part part);

  /// What was counted with `from` belongs to `to`.
  void move(double seconds, Part from, Part to);
  const PartSeconds& seconds() const { return seconds_; }

 private:
  at::Device device_;
  double last_ = 0.0;
  PartSeconds seconds_{};
};

/// ShineObjective with a clock: the same calls, and hooks on the gradients that cross from one part's backward to the
/// next one's.
class TimedObjective : public Objective {
 public:
  TimedObjective(const Hypernetwork& hypernetwork, PartClock& clock);
  ~TimedObjective() override;
  TimedObjective(const TimedObjective&) = delete;
  TimedObjective& operator=(const TimedObjective&) = delete;

  ObjectiveValue forward(const ModelBatch& batch) const override;
  std::vector<TrainedParameter> trained() const override;

  /// Call before each step: what precedes its first forward is the optimizer's (zeroing the gradients).
  void begin_step();

 private:
  const Hypernetwork& hypernetwork_;
  PartClock& clock_;
  at::Tensor memory_embeddings_;
  unsigned hook_ = 0;
  mutable Part before_forward_ = Part::optimizer;
};

}  // namespace shine::bench
