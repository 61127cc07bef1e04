#include "bench/step_parts.h"

#include <ATen/ATen.h>

#include "bench/machine.h"
#include "lora/parameter_names.h"
#include "shine/common/error.h"

namespace shine::bench {

std::string_view name_of(Part part) {
  constexpr std::array<std::string_view, kParts> names{"memory_pass",
                                                       "m2p",
                                                       "slicing",
                                                       "conversation",
                                                       "head",
                                                       "head_backward",
                                                       "conversation_backward",
                                                       "slicing_backward",
                                                       "m2p_backward",
                                                       "memory_pass_backward",
                                                       "optimizer",
                                                       "communication"};
  return names[static_cast<std::size_t>(part)];
}

void PartClock::start() {
  seconds_.fill(0.0);
  last_ = now(device_);
}

void PartClock::end_of(Part part) {
  const double time = now(device_);
  seconds_[static_cast<std::size_t>(part)] += time - last_;
  last_ = time;
}

void PartClock::move(double seconds, Part from, Part to) {
  seconds_[static_cast<std::size_t>(from)] -= seconds;
  seconds_[static_cast<std::size_t>(to)] += seconds;
}

TimedObjective::TimedObjective(const Hypernetwork& hypernetwork, PartClock& clock)
    : hypernetwork_(hypernetwork), clock_(clock) {
  for (const TrainedParameter& named : hypernetwork.trained()) {
    if (named.name == kMemoryName) memory_embeddings_ = named.tensor;
  }
  // They enter below the first layer: their gradient is the last part of the backward.
  hook_ = memory_embeddings_.register_hook([this](const at::Tensor&) { clock_.end_of(Part::memory_pass_backward); });
}

TimedObjective::~TimedObjective() {
  memory_embeddings_.remove_hook(hook_);
}

void TimedObjective::begin_step() {
  before_forward_ = Part::optimizer;
  clock_.start();
}

ObjectiveValue TimedObjective::forward(const ModelBatch& batch) const {
  const auto backward_ends = [this](const at::Tensor& boundary, Part part) {
    boundary.register_hook([this, part](const at::Tensor&) { clock_.end_of(part); });
  };
  clock_.end_of(before_forward_);
  before_forward_ = Part::memory_pass_backward;
  const at::Tensor memory_states = hypernetwork_.extract_memory(batch.contexts);
  backward_ends(memory_states, Part::m2p_backward);
  clock_.end_of(Part::memory_pass);
  const at::Tensor vector = hypernetwork_.generate_vector(memory_states);
  backward_ends(vector, Part::slicing_backward);
  clock_.end_of(Part::m2p);
  const LoraTree tree = hypernetwork_.slice(vector);
  backward_ends(tree.layers[0][Projection::q].a, Part::conversation_backward);
  clock_.end_of(Part::slicing);
  const Decoder& decoder = hypernetwork_.decoder();
  const at::Tensor hidden = decoder.forward(batch.conversations, &tree, batch.labelled.positions);
  backward_ends(hidden, Part::head_backward);
  clock_.end_of(Part::conversation);
  ObjectiveValue value{decoder.losses(hidden, batch.labelled.targets), {}};
  clock_.end_of(Part::head);
  return value;
}

std::vector<TrainedParameter> TimedObjective::trained() const {
  return ShineObjective(hypernetwork_, /*with_penalty=*/false).trained();
}

}  // namespace shine::bench
