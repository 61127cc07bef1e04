#pragma once

#include <memory>

#include "ops/graphed_function.h"
#include "shine/hypernetwork/memory_to_params.h"

namespace shine {

/// A network whose training passes are captured, by number of contexts; a GPU replays them as CUDA graphs.
class GraphedM2p {
 public:
  using Make = std::function<std::shared_ptr<MemoryToParams>()>;

  /// @param network       holds the parameters
  /// @param make_another  makes one like it, without values: it computes a capture, on the memory of the parameters
  GraphedM2p(std::shared_ptr<MemoryToParams> network, Make make_another,
             GraphedFunction::Capturer capturer = GraphedFunction::capture_on_gpu);

  /// MemoryToParams::forward
  at::Tensor forward(const at::Tensor& memory_states);

 private:
  std::shared_ptr<MemoryToParams> network_;
  GraphedFunction graphed_;
};

}  // namespace shine
