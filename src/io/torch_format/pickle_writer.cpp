#include "io/torch_format/pickle_writer.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "io/json/quote_text.h"
#include "io/torch_format/pickle_nodes.h"
#include "io/torch_format/pickle_opcodes.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using namespace pickle;

constexpr std::size_t kMaxDepth = 64;

/// Row-major strides as PyTorch gives them: a size of 0 counts as 1.
std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis > 1; --axis) {
    strides[axis - 2] = strides[axis - 1] * std::max<std::int64_t>(shape[axis - 1], 1);
  }
  return strides;
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

class Pickler {
 public:
  explicit Pickler(const std::string& where) : where_(where) {}

  PickledValue run(const PickleValue& value) {
    put(Opcode::proto);
    put_number(std::uint8_t{2});
    write(value, 0);
    put(Opcode::stop);
    return std::move(result_);
  }

 private:
  void write(const PickleValue& value, std::size_t depth) {
    if (depth == kMaxDepth) fail(str("more than ", kMaxDepth, " nested containers"));
    std::visit([&](const auto& content) { write_content(content, value, depth); }, value.value);
  }

  void write_content(std::monostate, const PickleValue&, std::size_t) { put(Opcode::none); }
  void write_content(bool truth, const PickleValue&, std::size_t) { write_bool(truth); }
  void write_content(std::int64_t number, const PickleValue&, std::size_t) { write_int(number); }
  void write_content(double number, const PickleValue&, std::size_t) {
    put(Opcode::binfloat);
    put_number(__builtin_bswap64(std::bit_cast<std::uint64_t>(number)));
  }
  void write_content(const std::string& text, const PickleValue&, std::size_t) { write_text(text); }

  void write_content(const PickleList& list, const PickleValue& value, std::size_t depth) {
    if (value.type == PickleType::tuple) return write_tuple(list, depth);
    put(Opcode::empty_list);
    memoize();
    if (list.size() > 1) put(Opcode::mark);
    for (const PickleValue& item : list) write(item, depth + 1);
    if (!list.empty()) put(list.size() > 1 ? Opcode::appends : Opcode::append);
  }

  void write_content(const PickleDict& dict, const PickleValue& value, std::size_t depth) {
    if (value.type == PickleType::ordered_dict) {
      write_empty_ordered_dict();
    } else {
      put(Opcode::empty_dict);
      memoize();
    }
    write_items(dict, depth);
    if (!value.attributes) return;
    write({*value.attributes}, depth + 1);
    put(Opcode::build);
  }

  void write_content(const RawTensor& tensor, const PickleValue& value, std::size_t) {
    if (bytes_of(tensor.dtype, tensor.shape) != tensor.bytes) {
      fail(str("a tensor has ", tensor.bytes, " bytes, not what its shape [", join(tensor.shape, ", "), "] of ",
               name_of(tensor.dtype), " needs"));
    }
    if (value.type != PickleType::parameter) return write_tensor(tensor, value.requires_grad);
    write_global("torch._utils", "_rebuild_parameter");
    write_tensor(tensor, false);
    write_bool(value.requires_grad);
    write_empty_ordered_dict();
    finish_call(Opcode::tuple3);
  }

  void write_tuple(const PickleList& items, std::size_t depth) {
    if (items.size() > 3) put(Opcode::mark);
    for (const PickleValue& item : items) write(item, depth + 1);
    finish_tuple(items.size());
  }

  void write_items(const PickleDict& dict, std::size_t depth) {
    std::set<PickleKey> keys;
    if (dict.size() > 1) put(Opcode::mark);
    for (const PickleEntry& entry : dict) {
      const std::string key = std::visit([](const auto& plain) { return str(plain); }, entry.key);
      if (!keys.insert(entry.key).second) fail(str("a dict with the key ", quote_text(key), " twice"));
      if (const auto* number = std::get_if<std::int64_t>(&entry.key)) {
        write_int(*number);
      } else {
        write_text(key);
      }
      write(entry.value, depth + 1);
    }
    if (!dict.empty()) put(dict.size() > 1 ? Opcode::setitems : Opcode::setitem);
  }

  /// (storage, offset, shape, strides, requires_grad, hooks)
  void write_tensor(const RawTensor& tensor, bool requires_grad) {
    write_global("torch._utils", "_rebuild_tensor_v2");
    put(Opcode::mark);
    write_storage(tensor);
    write_int(0);
    write_ints(tensor.shape);
    write_ints(contiguous_strides(tensor.shape));
    write_bool(requires_grad);
    write_empty_ordered_dict();
    finish_call(Opcode::tuple);
  }

  /// The persistent id ("storage", type, key, device, number of elements).
  void write_storage(const RawTensor& tensor) {
    put(Opcode::mark);
    write_text("storage");
    write_global("torch", storage_type_name(tensor.dtype));
    write_text(str(result_.storages.size()));
    write_text("cpu");
    write_int(static_cast<std::int64_t>(tensor.bytes / size_of(tensor.dtype)));
    put(Opcode::tuple);
    memoize();
    put(Opcode::binpersid);
    result_.storages.push_back(tensor);
  }

  void write_empty_ordered_dict() {
    write_global("collections", "OrderedDict");
    put(Opcode::empty_tuple);
    put(Opcode::reduce);
    memoize();
  }

  void write_ints(const std::vector<std::int64_t>& numbers) {
    if (numbers.size() > 3) put(Opcode::mark);
    for (const std::int64_t number : numbers) write_int(number);
    finish_tuple(numbers.size());
  }

  /// Ends a tuple whose items have been written, after a mark if there are more than three.
  void finish_tuple(std::size_t items) {
    constexpr Opcode by_size[] = {Opcode::empty_tuple, Opcode::tuple1, Opcode::tuple2, Opcode::tuple3};
    put(items > 3 ? Opcode::tuple : by_size[items]);
    if (items > 0) memoize();
  }

  void finish_call(Opcode tuple_of_arguments) {
    put(tuple_of_arguments);
    memoize();
    put(Opcode::reduce);
    memoize();
  }

  void write_global(std::string_view module, std::string_view name) {
    const std::string lines = str(module, '\n', name, '\n');
    if (recall(lines)) return;
    put(Opcode::global);
    result_.pickle += lines;
    memo_.emplace(lines, memo_size_);
    memoize();
  }

  /// Texts of equal content share a place in the memo, as names in a program's source do in Python.
  void write_text(const std::string& text) {
    const std::string key = str("text:", text);
    if (recall(key)) return;
    if (!is_utf8(text)) fail(str(quote_text(text), " is not valid UTF-8"));
    SHINE_CHECK(text.size() <= std::numeric_limits<std::uint32_t>::max(), FormatError, where_, ": a text of ",
                text.size(), " bytes");
    put(Opcode::binunicode);
    put_number(static_cast<std::uint32_t>(text.size()));
    result_.pickle += text;
    memo_.emplace(key, memo_size_);
    memoize();
  }

  void write_bool(bool truth) { put(truth ? Opcode::newtrue : Opcode::newfalse); }

  void write_int(std::int64_t number) {
    if (number >= 0 && number <= UINT8_MAX) {
      put(Opcode::binint1);
      put_number(static_cast<std::uint8_t>(number));
    } else if (number >= 0 && number <= UINT16_MAX) {
      put(Opcode::binint2);
      put_number(static_cast<std::uint16_t>(number));
    } else if (number >= INT32_MIN && number <= INT32_MAX) {
      put(Opcode::binint);
      put_number(static_cast<std::int32_t>(number));
    } else {
      write_long(number);
    }
  }

  /// Two's complement in as few bytes as hold the sign.
  void write_long(std::int64_t number) {
    std::uint8_t count = sizeof number;
    while ((number << 8 * (sizeof number - count + 1)) >> 8 * (sizeof number - count + 1) == number) --count;
    put(Opcode::long1);
    put_number(count);
    for (int i = 0; i < count; ++i) put_number(static_cast<std::uint8_t>(number >> 8 * i));
  }

  bool recall(const std::string& key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return false;
    put_slot(Opcode::binget, Opcode::long_binget, found->second);
    return true;
  }

  /// Puts what was written last into the next place of the memo.
  void memoize() { put_slot(Opcode::binput, Opcode::long_binput, memo_size_++); }

  void put_slot(Opcode small, Opcode large, std::uint32_t slot) {
    put(slot <= UINT8_MAX ? small : large);
    if (slot <= UINT8_MAX) {
      put_number(static_cast<std::uint8_t>(slot));
    } else {
      put_number(slot);
    }
  }

  void put(Opcode opcode) { put_number(static_cast<std::uint8_t>(opcode)); }

  template <class Number>
  void put_number(Number number) {
    result_.pickle.append(reinterpret_cast<const char*>(&number), sizeof number);
  }

  [[noreturn]] void fail(const std::string& what) const { throw FormatError(what, where_); }

  const std::string& where_;
  PickledValue result_;
  std::map<std::string, std::uint32_t> memo_;  ///< places of texts and globals
  std::uint32_t memo_size_ = 0;
};

}  // namespace

PickledValue pickle_value(const PickleValue& value, const std::string& where) {
  return Pickler(where).run(value);
}

}  // namespace shine
