#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "recorded_work.h"

namespace shine {

/// A function of one tensor, and of parameters that stay where they are, whose forward and backward are two recorded
/// works: on a GPU two CUDA graphs, launched once each instead of once for each of their operations. Input, output and
/// the output's gradient are copied to and from fixed places; the parameters are read where they lie.
///
/// A recording serves inputs of one shape and dtype. It keeps what the backward needs in its own memory, and so is
/// taken from a forward to its backward, or until the forward's graph is dropped (a retained graph keeps it): a forward
/// of the same sizes meanwhile calls the function, as do forwards without gradients and of sizes beyond the first
/// `most_recordings`, which stay (passes whose number of contexts varies, as with optimizer.pass_tokens, gain little).
/// Parameters at other addresses (replaced, moved) are recorded anew.
///
/// For one thread at a time; the backward may run in another, as autograd's does.
class RecordedFunction {
 public:
  using Tensors = std::vector<at::Tensor>;
  using Function = std::function<at::Tensor(const at::Tensor& input, const Tensors& parameters)>;
  using Recorder =
      std::function<std::unique_ptr<RecordedWork>(std::vector<RecordedWork::Part> parts, c10::Device device)>;

  /// Each keeps a forward's intermediate values and the parameters' gradients for good. Training has one size, or two:
  /// the last batch is smaller.
  static constexpr std::size_t most_recordings = 2;

  /// @param function  returns a new tensor; takes every tensor that needs a gradient from its arguments; draws no
  /// random
  ///                  numbers, reads nothing back to the host, and does the same for inputs of the same sizes
  explicit RecordedFunction(Function function, Recorder recorder = record_on_gpu);
  ~RecordedFunction();
  RecordedFunction(const RecordedFunction&) = delete;
  RecordedFunction& operator=(const RecordedFunction&) = delete;

  /// The function's value, with a graph to `input` and `parameters` where they require gradients. The parameters'
  /// gradients lie in the recording's memory until its next call: autograd copies or adds them to .grad, and whoever
  /// takes them by torch::autograd::grad must copy them. Their own gradient is not there (UnsupportedError).
  at::Tensor operator()(const at::Tensor& input, const Tensors& parameters);

  /// How many sizes are recorded for the last parameters.
  std::size_t recordings() const { return recordings_.size(); }

  /// Graphs where the device is a GPU and this build has CUDA; else every run calls the parts.
  static std::unique_ptr<RecordedWork> record_on_gpu(std::vector<RecordedWork::Part> parts, c10::Device device);

 private:
  class Recording;
  class Node;

  std::shared_ptr<Recording> free_recording(const at::Tensor& input, const Tensors& parameters);

  Function function_;
  Recorder recorder_;
  std::vector<std::shared_ptr<Recording>> recordings_;
};

}  // namespace shine
