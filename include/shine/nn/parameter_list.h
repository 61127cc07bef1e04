#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "shine/tensor/torch_tensor.h"

namespace shine {

/// One named tensor of a module, declared once: loading, initialising, saving and counting all read this.
struct ParameterSlot {
  std::string name;                 ///< the Hugging Face / PyTorch state-dict key
  std::vector<std::int64_t> shape;  ///< expected sizes
  at::Tensor* tensor;               ///< the module's field; the module must outlive the list and not move
};

/// A module's parameters in the order of its state dict.
class ParameterList {
 public:
  /// Declares a field. It is allocated later, by load_parameters or allocate.
  void add(std::string name, std::vector<std::int64_t> shape, at::Tensor& field);

  const std::vector<ParameterSlot>& slots() const { return slots_; }

  /// Values in all slots together.
  std::int64_t numel() const;

  /// Gives every slot a new uninitialised tensor.
  void allocate(const at::TensorOptions& options) const;

 private:
  std::vector<ParameterSlot> slots_;
};

/// Fills every slot from `source`. The values become tensors of `options`' dtype and device; where they already
/// are, the file's mapped bytes are used in place. Throws ShapeError that counts all missing, unexpected and
/// mis-shaped tensors at once and names the first of each, and FormatError for a tensor that does not hold floating-point values; `where` names the
/// source in both. After the first nothing is changed.
void load_parameters(const ParameterList& parameters, const RawTensorDict& source, const at::TensorOptions& options,
                     const std::string& where);

}  // namespace shine
