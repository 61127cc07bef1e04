#include "shine/nn/parameter_list.h"

#include <ATen/ATen.h>

#include <numeric>
#include <set>

#include "shine/common/error.h"

namespace shine {

void ParameterList::add(std::string name, std::vector<std::int64_t> shape, at::Tensor& field) {
  slots_.push_back({std::move(name), std::move(shape), &field});
}

std::int64_t ParameterList::numel() const {
  std::int64_t total = 0;
  for (const ParameterSlot& slot : slots_) {
    total += std::accumulate(slot.shape.begin(), slot.shape.end(), std::int64_t{1}, std::multiplies<>());
  }
  return total;
}

void ParameterList::allocate(const at::TensorOptions& options) const {
  for (const ParameterSlot& slot : slots_) *slot.tensor = at::empty(slot.shape, options);
}

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
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

void check_names_and_shapes(const ParameterList& parameters, const RawTensorDict& source, const std::string& where) {
  std::vector<std::string> missing, unexpected, misshaped;
  std::set<std::string> expected;
  for (const ParameterSlot& slot : parameters.slots()) {
    expected.insert(slot.name);
    const auto found = source.find(slot.name);
    if (found == source.end()) {
      missing.push_back(slot.name);
    } else if (found->second.shape != slot.shape) {
      misshaped.push_back(
          str(slot.name, " expected ", shape_text(slot.shape), " found ", shape_text(found->second.shape)));
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

}  // namespace

void load_parameters(const ParameterList& parameters, const RawTensorDict& source, const at::TensorOptions& options,
                     const std::string& where) {
  check_names_and_shapes(parameters, source, where);
  for (const ParameterSlot& slot : parameters.slots()) {
    const at::Tensor loaded = to_tensor(source.at(slot.name));
    SHINE_CHECK(at::isFloatingType(loaded.scalar_type()), FormatError, where, ": ", slot.name, " holds ",
                at::toString(loaded.scalar_type()), " values, expected floating point");
    *slot.tensor = loaded.to(options.device(), c10::typeMetaToScalarType(options.dtype()));
  }
}

}  // namespace shine
