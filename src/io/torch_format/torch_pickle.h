#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "io/files/mapped_file.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

struct PickleEntry;
struct PickleValue;
using PickleKey = std::variant<std::int64_t, std::string>;
using PickleList = std::vector<PickleValue>;  ///< a Python list or tuple
using PickleDict = std::vector<PickleEntry>;  ///< a Python dict or OrderedDict, in its order; no key twice

/// The Python type of a value, where two types share one form here.
enum class PickleType {
  usual,         ///< list, dict, Tensor
  tuple,         ///< of a PickleList
  ordered_dict,  ///< of a PickleDict
  parameter,     ///< of a RawTensor: nn.Parameter
};

/// What a torch.save file holds; std::monostate is None.
struct PickleValue {
  std::variant<std::monostate, bool, std::int64_t, double, std::string, PickleList, PickleDict, RawTensor> value;
  PickleType type = PickleType::usual;
  bool requires_grad = false;  ///< of a tensor or parameter
  /// Of an OrderedDict, null for none: a state dict has `_metadata`. Written; left out when read.
  std::shared_ptr<const PickleDict> attributes = nullptr;

  bool is_none() const { return std::holds_alternative<std::monostate>(value); }
};

struct PickleEntry {
  PickleKey key;
  PickleValue value;
};

/// Reads a file that torch.save wrote: the zip form, the default since PyTorch 1.6, or the one before it. Executes
/// nothing: of Python's globals only OrderedDict, tensors, parameters and typed storages are known, and any other is
/// refused by name. Tensors are contiguous: in the mapped file where the saved strides allow it, else copied. Throws
/// IoError (no file) and FormatError (anything else).
PickleValue read_torch_file(const std::filesystem::path& path);
PickleValue read_torch_file(std::shared_ptr<const MappedFile> file);

/// The tensors of nested dicts and lists under dotted names, e.g. "0.attention.q.A", in the file's order; a lone tensor
/// has the empty name. None is skipped. Any other value and two tensors of one name are FormatErrors at `where`.
NamedRawTensors flatten_tensors(const PickleValue& value, const std::string& where);

}  // namespace shine
