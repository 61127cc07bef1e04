#include "hypernetwork/graphed_m2p.h"

#include <ATen/ATen.h>

namespace shine {
namespace {

GraphedFunction::Function forward_of(std::shared_ptr<MemoryToParams> network) {
  return [network = std::move(network)](const at::Tensor& memory_states) { return network->forward(memory_states); };
}

/// Another network on the parameters' memory.
GraphedFunction::Replica replicate(const MemoryToParams& network, const GraphedM2p::Make& make_another) {
  const std::shared_ptr<MemoryToParams> another = make_another();
  const std::vector<at::Tensor> parameters = network.parameters(), own = another->parameters();
  for (std::size_t i = 0; i < own.size(); ++i) {
    set_values(own[i], parameters[i].detach());
    own[i].requires_grad_(parameters[i].requires_grad());
  }
  for (const auto& buffer : network.named_buffers()) another->named_buffers()[buffer.key()].set_data(buffer.value());
  return {forward_of(another), own};
}

}  // namespace

GraphedM2p::GraphedM2p(std::shared_ptr<MemoryToParams> network, Make make_another, GraphedFunction::Capturer capturer)
    : network_(network),
      graphed_(
          forward_of(network), [network, make = std::move(make_another)] { return replicate(*network, make); },
          std::move(capturer)) {}

at::Tensor GraphedM2p::forward(const at::Tensor& memory_states) {
  return graphed_(memory_states, network_->parameters());
}

}  // namespace shine
