#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/torch_format/torch_pickle.h"
#include "io/torch_format/torch_storage.h"
#include "shine/tensor/raw_tensor.h"

namespace shine::pickle {

/// Index of a node. A pickle may describe graphs with cycles: nodes refer to each other by index and are owned by one
/// vector.
using Ref = std::uint32_t;

struct Tuple {
  std::vector<Ref> items;
};
struct List {
  std::vector<Ref> items;
};
struct Dict {
  std::vector<Ref> items;  ///< key, value, key, value, ..
  bool ordered = false;    ///< an OrderedDict
};

struct Tensor {
  RawTensor raw;
  bool requires_grad = false;
  bool parameter = false;
};

/// A name of the white list.
struct Global {
  enum class Role { ordered_dict, rebuild_tensor, rebuild_parameter, storage_type };
  Role role = Role::ordered_dict;
  DType dtype = DType::float32;  ///< of a storage_type
};

using Node = std::variant<std::monostate, bool, std::int64_t, double, std::string, Tuple, List, Dict, Global,
                          TorchStorage, Tensor>;

/// Throws FormatError at `where`, by name, for every global that is not on the white list.
Global find_global(const std::string& module, const std::string& name, const std::string& where);

/// PyTorch's name for storages of a dtype, in the module `torch`: "FloatStorage".
std::string_view storage_type_name(DType dtype);

/// The tree below a node. Throws FormatError at `where` for cycles and other nesting over 64 levels, for shared parts
/// that expand beyond a bound, for keys other than integers and strings, for a key twice, and for globals and storages
/// as values.
PickleValue to_value(const std::vector<Node>& nodes, Ref root, const std::string& where);

}  // namespace shine::pickle
