#pragma once

#include <memory>

#include "ops/graphed_function.h"
#include "shine/hypernetwork/memory_to_params.h"

namespace shine {

/// An M2P whose training passes run as CUDA graphs on a GPU, captured once per number of contexts.
class GraphedM2p {
 public:
  using Make = std::function<std::shared_ptr<MemoryToParams>()>;

  /// @param network       holds the parameters
  /// @param make_another  makes a copy without values, which computes a capture on the parameters' memory
  GraphedM2p(std::shared_ptr<MemoryToParams> network, Make make_another,
             GraphedFunction::Capturer capturer = GraphedFunction::capture_on_gpu);

  /// MemoryToParams::forward
  at::Tensor forward(const at::Tensor& memory_states);

 private:
  std::shared_ptr<MemoryToParams> network_;
  GraphedFunction graphed_;
};

}  // namespace shine
