#pragma once

#include <torch/nn/cloneable.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shine/common/api.h"
#include "shine/nn/parameter.h"
#include "shine/tensor/named_tensor.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {

/// A single zero expanded to `shape`: a parameter that has no values yet.
SHINE_API at::Tensor unset_values(at::IntArrayRef shape);

/// A LibTorch module whose parameters are declared first and get their values later, by load_parameters or
/// allocate_parameters. Until then each has its shape and no memory of its own: named_parameters() counts and names
/// them, and an 8B model is not held twice.
class SHINE_API DeclaresParameters {
 public:
  virtual ~DeclaresParameters() = default;

  /// As given when the module's own parameter `name` was declared; nothing if it was not.
  std::optional<Decay> decay_of(const std::string& name) const;

 protected:
  /// Registers a parameter of `module`, which is this object, that takes a gradient.
  /// @param decay  whether AdamW decays it
  at::Tensor declare(torch::nn::Module& module, const std::string& name, at::IntArrayRef shape, Decay decay);

 private:
  std::map<std::string, Decay> decay_;
};

/// The same with clone(). Derived classes register everything in reset(), which clone() calls.
template <class Derived>
class SHINE_API Module : public torch::nn::Cloneable<Derived>, public DeclaresParameters {
 protected:
  at::Tensor declare(const std::string& name, at::IntArrayRef shape, Decay decay) {
    return DeclaresParameters::declare(*this, name, shape, decay);
  }
};

/// All parameters, in the order of registration.
SHINE_API std::vector<NamedTensor> named_tensors(const torch::nn::Module& module);

/// Values in all parameters together.
SHINE_API std::int64_t count_parameters(const torch::nn::Module& module);

/// Gives every parameter new memory, without values.
SHINE_API void allocate_parameters(torch::nn::Module& module, const at::TensorOptions& options);

/// Gives `parameter`, wherever it is registered, `values` in place of its own; what requires a gradient still does.
SHINE_API void set_values(at::Tensor parameter, const at::Tensor& values);

/// Fills every parameter from `source` by its registered name. The values become tensors of `options`' dtype and
/// device; where they already are, the file's mapped bytes are used in place. Throws ShapeError that counts all
/// missing, unexpected and mis-shaped tensors and names the first of each (nothing is changed then), and FormatError
/// for a tensor that does not hold floating-point values; `where` names the source in both.
SHINE_API void load_parameters(torch::nn::Module& module, const RawTensorDict& source, const at::TensorOptions& options,
                               const std::string& where);

/// Throws the ShapeError of load_parameters where that would.
SHINE_API void check_parameters(const torch::nn::Module& module, const RawTensorDict& source, const std::string& where);

/// The parameters of `module` that take a gradient, each with its Decay: as declared, or for LibTorch's own modules
/// always where it has two or more dimensions, else never. Throws Error for a parameter that a module of ours
/// registered without declaring it.
/// @param prefix  of their names
SHINE_API std::vector<TrainedParameter> trained_parameters(const torch::nn::Module& module, ParameterGroup group,
                                                           const std::string& prefix = {});

/// Fills with U(-bound, bound) from a CPU generator, whatever the tensor's device.
SHINE_API void fill_uniform(const at::Tensor& tensor, double bound, at::Generator& generator);

}  // namespace shine
