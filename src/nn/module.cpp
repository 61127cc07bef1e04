#include "shine/nn/module.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "shine/common/error.h"

namespace shine {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  return str("(", join(shape, ", "), ")");
}

/// Tensors named in an error, of each kind: a model of another size differs in all of its hundreds.
constexpr std::size_t kNamed = 8;

void list_faults(std::vector<std::string>& faults, const char* kind, std::vector<std::string> names) {
  if (names.empty()) return;
  const std::size_t count = names.size();
  if (count > kNamed) {
    names.resize(kNamed);
    names.push_back(str("and ", count - kNamed, " more"));
  }
  faults.push_back(str(count, " ", kind, ": ", join(names, ", ")));
}

}  // namespace

void check_parameters(const torch::nn::Module& module, const RawTensorDict& source, const std::string& where) {
  std::vector<std::string> missing, unexpected, misshaped;
  std::set<std::string> expected;
  for (const auto& parameter : module.named_parameters()) {
    const std::string& name = parameter.key();
    expected.insert(name);
    const auto found = source.find(name);
    if (found == source.end()) {
      missing.push_back(name);
    } else if (parameter->sizes() != at::IntArrayRef(found->second.shape)) {
      misshaped.push_back(
          str(name, " expected ", shape_text(parameter->sizes()), " found ", shape_text(found->second.shape)));
    }
  }
  for (const auto& [name, tensor] : source) {
    if (!expected.contains(name)) unexpected.push_back(name);
  }
  std::vector<std::string> faults;
  list_faults(faults, "missing", missing);
  list_faults(faults, "unexpected", unexpected);
  list_faults(faults, "of another shape", misshaped);
  if (!faults.empty()) {
    throw ShapeError(str("the tensors do not fit the model: ", join(faults, "; ")), where,
                     "the file must match the model's configuration");
  }
}

at::Tensor unset_values(at::IntArrayRef shape) {
  return at::zeros({1}).as_strided(shape, std::vector<std::int64_t>(shape.size(), 0)).detach();
}

at::Tensor DeclaresParameters::declare(torch::nn::Module& module, const std::string& name, at::IntArrayRef shape,
                                       Decay decay) {
  decay_.insert_or_assign(name, decay);
  return module.register_parameter(name, unset_values(shape));
}

std::optional<Decay> DeclaresParameters::decay_of(const std::string& name) const {
  const auto found = decay_.find(name);
  return found == decay_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<NamedTensor> named_tensors(const torch::nn::Module& module) {
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : module.named_parameters()) tensors.push_back({parameter.key(), parameter.value()});
  return tensors;
}

std::int64_t count_parameters(const torch::nn::Module& module) {
  std::int64_t total = 0;
  for (const at::Tensor& parameter : module.parameters()) total += parameter.numel();
  return total;
}

void set_values(at::Tensor parameter, const at::Tensor& values) {
  parameter.set_data(values);
}

void allocate_parameters(torch::nn::Module& module, const at::TensorOptions& options) {
  for (const at::Tensor& parameter : module.parameters()) set_values(parameter, at::empty(parameter.sizes(), options));
}

void load_parameters(torch::nn::Module& module, const RawTensorDict& source, const at::TensorOptions& options,
                     const std::string& where) {
  check_parameters(module, source, where);
  for (const auto& parameter : module.named_parameters()) {
    const at::Tensor loaded = to_tensor(source.at(parameter.key()));
    SHINE_CHECK(at::isFloatingType(loaded.scalar_type()), FormatError, where, ": ", parameter.key(), " holds ",
                at::toString(loaded.scalar_type()), " values, expected floating point");
    set_values(parameter.value(), loaded.to(options.device(), c10::typeMetaToScalarType(options.dtype())));
  }
}

std::vector<TrainedParameter> trained_parameters(const torch::nn::Module& module, ParameterGroup group,
                                                 const std::string& prefix) {
  std::vector<TrainedParameter> trained;
  const auto add = [&](const std::string& path, const torch::nn::Module& part) {
    const auto* declares = dynamic_cast<const DeclaresParameters*>(&part);
    for (const auto& parameter : part.named_parameters(/*recurse=*/false)) {
      if (!parameter->requires_grad()) continue;
      const std::string name = path.empty() ? parameter.key() : path + "." + parameter.key();
      std::optional<Decay> decay;
      if (declares != nullptr) {
        decay = declares->decay_of(parameter.key());
        SHINE_CHECK(decay.has_value(), Error, name, ": trained, and its module does not say whether it is decayed ",
                    "(register it by declare(name, shape, decay), not by register_parameter)");
      } else {
        decay = parameter->dim() >= 2 ? Decay::always : Decay::never;
      }
      trained.push_back({name, parameter.value(), group, *decay});
    }
  };
  module.apply(add, prefix);
  return trained;
}

void fill_uniform(const at::Tensor& tensor, double bound, at::Generator& generator) {
  const at::NoGradGuard no_grad;
  tensor.copy_(at::empty(tensor.sizes(), at::TensorOptions().dtype(at::kFloat)).uniform_(-bound, bound, generator));
}

}  // namespace shine
