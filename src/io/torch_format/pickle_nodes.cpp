#include "io/torch_format/pickle_nodes.h"

#include <array>
#include <cstddef>
#include <set>
#include <string_view>
#include <utility>

#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine::pickle {
namespace {

using Role = Global::Role;

struct KnownGlobal {
  std::string_view module;
  std::string_view name;
  Global global;
};

constexpr std::array<KnownGlobal, 13> kWhiteList = {{
    {"collections", "OrderedDict", {Role::ordered_dict, DType::float32}},
    {"torch._utils", "_rebuild_tensor_v2", {Role::rebuild_tensor, DType::float32}},
    {"torch._utils", "_rebuild_parameter", {Role::rebuild_parameter, DType::float32}},
    {"torch", "DoubleStorage", {Role::storage_type, DType::float64}},
    {"torch", "FloatStorage", {Role::storage_type, DType::float32}},
    {"torch", "HalfStorage", {Role::storage_type, DType::float16}},
    {"torch", "BFloat16Storage", {Role::storage_type, DType::bfloat16}},
    {"torch", "LongStorage", {Role::storage_type, DType::int64}},
    {"torch", "IntStorage", {Role::storage_type, DType::int32}},
    {"torch", "ShortStorage", {Role::storage_type, DType::int16}},
    {"torch", "CharStorage", {Role::storage_type, DType::int8}},
    {"torch", "ByteStorage", {Role::storage_type, DType::uint8}},
    {"torch", "BoolStorage", {Role::storage_type, DType::boolean}},
}};

/// Copies a graph of nodes into a tree of values.
class TreeMaker {
 public:
  TreeMaker(const std::vector<Node>& nodes, const std::string& where) : nodes_(nodes), where_(where) {}

  PickleValue make(Ref ref, std::size_t depth) {
    if (depth == kMaxDepth) fail(str("more than ", kMaxDepth, " nested containers, or a container inside itself"));
    charge(sizeof(PickleEntry));
    return std::visit([&](const auto& node) { return convert(node, depth); }, nodes_[ref]);
  }

 private:
  static constexpr std::size_t kMaxDepth = 64;
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

  PickleValue convert(std::monostate, std::size_t) { return {}; }
  PickleValue convert(bool value, std::size_t) { return {value}; }
  PickleValue convert(std::int64_t value, std::size_t) { return {value}; }
  PickleValue convert(double value, std::size_t) { return {value}; }
  PickleValue convert(const std::string& value, std::size_t) {
    charge(value.size());
    return {value};
  }
  PickleValue convert(const Tuple& tuple, std::size_t depth) {
    return {convert_items(tuple.items, depth), PickleType::tuple};
  }
  PickleValue convert(const List& list, std::size_t depth) { return {convert_items(list.items, depth)}; }
  PickleValue convert(const Global&, std::size_t) { fail("a Python class where a value is expected"); }
  PickleValue convert(const TorchStorage&, std::size_t) { fail("a bare storage where a value is expected"); }
  PickleValue convert(const Tensor& tensor, std::size_t) {
    charge(tensor.raw.shape.size() * sizeof(tensor.raw.shape[0]));
    return {tensor.raw, tensor.parameter ? PickleType::parameter : PickleType::usual, tensor.requires_grad};
  }

  PickleValue convert(const Dict& dict, std::size_t depth) {
    PickleDict entries;
    std::set<PickleKey> keys;
    for (std::size_t i = 0; i < dict.items.size(); i += 2) {
      PickleKey key = make_key(nodes_[dict.items[i]]);
      if (!keys.insert(key).second) fail("a dict with the same key twice");
      entries.push_back({std::move(key), make(dict.items[i + 1], depth + 1)});
    }
    return {std::move(entries), dict.ordered ? PickleType::ordered_dict : PickleType::usual};
  }

  PickleList convert_items(const std::vector<Ref>& items, std::size_t depth) {
    PickleList list;
    for (Ref item : items) list.push_back(make(item, depth + 1));
    return list;
  }

  PickleKey make_key(const Node& node) {
    if (const auto* number = std::get_if<std::int64_t>(&node)) return *number;
    if (const auto* text = std::get_if<std::string>(&node)) {
      charge(2 * text->size());
      return *text;
    }
    fail("a dict key that is neither an integer nor a string");
  }

  void charge(std::size_t bytes) {
    if (bytes > budget_) fail(str("its values expand to more than ", kMaxBytes, " bytes; refused"));
    budget_ -= bytes;
  }

  [[noreturn]] void fail(const std::string& what) const { throw FormatError(what, where_); }

  const std::vector<Node>& nodes_;
  const std::string& where_;
  std::size_t budget_ = kMaxBytes;
};

}  // namespace

Global find_global(const std::string& module, const std::string& name, const std::string& where) {
  for (const KnownGlobal& known : kWhiteList) {
    if (module == known.module && name == known.name) return known.global;
  }
  throw FormatError(str("the Python global ", quote_text(str(module, ".", name)), " was refused, nothing was executed"),
                    where, "only tensors, parameters, dicts, lists, numbers and strings are read");
}

std::string_view storage_type_name(DType dtype) {
  for (const KnownGlobal& known : kWhiteList) {
    if (known.global.role == Role::storage_type && known.global.dtype == dtype) return known.name;
  }
  throw UnsupportedError(str("torch.save has no storage for ", name_of(dtype)));
}

PickleValue to_value(const std::vector<Node>& nodes, Ref root, const std::string& where) {
  return TreeMaker(nodes, where).make(root, 0);
}

}  // namespace shine::pickle
