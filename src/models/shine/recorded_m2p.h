#pragma once

#include <memory>

#include "ops/recorded_function.h"
#include "shine/models/shine/memory_to_params.h"

namespace shine {

/// A network whose training passes are recorded, by number of contexts; a GPU replays them as CUDA graphs.
class RecordedM2p : public MemoryToParams {
 public:
  /// @param network  holds the parameters
  /// @param twin     another like it, without values: it computes, with the parameters that a recording gives it
  RecordedM2p(std::unique_ptr<MemoryToParams> network, std::unique_ptr<MemoryToParams> twin,
              RecordedFunction::Recorder recorder = RecordedFunction::record_on_gpu);
  at::Tensor forward(const at::Tensor& memory_states) const override;
  void initialise(at::Generator& generator) const override;

 private:
  std::unique_ptr<MemoryToParams> network_, twin_;
  std::unique_ptr<RecordedFunction> recorded_;
};

}  // namespace shine
