#include "recorded_m2p.h"

#include <ATen/ATen.h>

namespace shine {

RecordedM2p::RecordedM2p(std::unique_ptr<MemoryToParams> network, std::unique_ptr<MemoryToParams> twin,
                         RecordedFunction::Recorder recorder)
    : network_(std::move(network)), twin_(std::move(twin)) {
  parameters_ = network_->parameters();
  const auto compute = [this](const at::Tensor& memory_states, const std::vector<at::Tensor>& parameters) {
    auto given = parameters.begin();
    for (const ParameterSlot& slot : twin_->parameters().slots()) *slot.tensor = *given++;
    return twin_->forward(memory_states);
  };
  recorded_ = std::make_unique<RecordedFunction>(compute, std::move(recorder));
}

at::Tensor RecordedM2p::forward(const at::Tensor& memory_states) const {
  std::vector<at::Tensor> parameters;
  for (const ParameterSlot& slot : parameters_.slots()) parameters.push_back(*slot.tensor);
  return (*recorded_)(memory_states, parameters);
}

void RecordedM2p::initialise(at::Generator& generator) const {
  network_->initialise(generator);
}

}  // namespace shine
