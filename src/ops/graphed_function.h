#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/graphed_work.h"

namespace shine {

/// A function of one tensor, and of parameters with fixed addresses, whose forward and backward are the two parts of a
/// GraphedWork: on a GPU two CUDA graphs, one launch each instead of one per operation. Input, output and the output's
/// gradient are copied to and from fixed addresses; the parameters are read in place.
///
/// A capture serves inputs of one shape and dtype. Its memory holds the saved activations, so it is in use from a
/// forward until its backward, or until the autograd graph is dropped (a retained graph holds it). Meanwhile a forward
/// of the same shape calls the function, as do forwards without gradients and those of any shape beyond the first
/// `kMostCaptures` (passes whose number of contexts varies, as with optimizer.pass_tokens, gain little). Parameters at
/// other addresses (replaced, moved) are captured again.
///
/// For one thread at a time; the backward may run in another, as autograd's does.
class GraphedFunction {
 public:
  using Tensors = std::vector<at::Tensor>;
  using Function = std::function<at::Tensor(const at::Tensor& input)>;

  /// The function once more, on leaves of its own that share the parameters' memory: their gradients are collected
  /// where and when the capture says. Those of the parameters would run their hooks, on the stream where they were
  /// first used.
  struct Replica {
    Function function;
    Tensors parameters;  ///< in the order of the call's
  };
  using Capturer =
      std::function<std::unique_ptr<GraphedWork>(std::vector<GraphedWork::Part> parts, c10::Device device)>;

  /// Each holds a forward's saved activations and the parameters' gradients for good. Training has one shape, or two:
  /// the last batch is smaller.
  static constexpr std::size_t kMostCaptures = 2;

  /// @param function   returns a new tensor; reads nothing that needs a gradient but its input and the parameters;
  ///                   draws no random numbers, reads nothing back to the host, and does the same for inputs of the
  ///                   same sizes
  /// @param replicate  makes a replica of it, on the parameters as they lie now
  GraphedFunction(Function function, std::function<Replica()> replicate, Capturer capturer = capture_on_gpu);
  ~GraphedFunction();
  GraphedFunction(const GraphedFunction&) = delete;
  GraphedFunction& operator=(const GraphedFunction&) = delete;

  /// The function's value, with a graph to `input` and `parameters` where they require gradients. The parameters'
  /// gradients lie in the capture's memory until its next call: autograd copies or adds them to .grad, and whoever
  /// takes them by torch::autograd::grad must copy them. Their own gradient is not there (UnsupportedError).
  at::Tensor operator()(const at::Tensor& input, const Tensors& parameters);

  /// How many sizes are captured for the last parameters.
  std::size_t captured() const { return captured_.size(); }

  /// Graphs where the device is a GPU and this build has CUDA; else every run calls the parts.
  static std::unique_ptr<GraphedWork> capture_on_gpu(std::vector<GraphedWork::Part> parts, c10::Device device);

 private:
  class Capture;
  class Node;

  std::shared_ptr<Capture> free_capture(const at::Tensor& input, const Tensors& parameters);

  Function function_;
  std::function<Replica()> replicate_;
  Capturer capturer_;
  std::vector<std::shared_ptr<Capture>> captured_;
};

}  // namespace shine
