#include "io/torch_format/pickle_machine.h"

#include <bit>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/files/byte_reader.h"
#include "io/torch_format/pickle_nodes.h"
#include "io/torch_format/pickle_opcodes.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using namespace pickle;

constexpr std::size_t kMaxNodes = 1'000'000;

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, TorchStorages& storages, const std::string& where)
      : reader_(pickle, where), storages_(storages), where_(where) {}

  PickleValue run() {
    while (true) {
      const auto opcode = reader_.read<std::uint8_t>();
      if (opcode == stop) break;
      if (!do_scalar(opcode) && !do_container(opcode) && !do_object(opcode)) {
        reader_.fail(str("pickle opcode ", static_cast<int>(opcode), ", which torch.save does not write"));
      }
    }
    if (stack_.size() != 1 || !marks_.empty()) reader_.fail("the pickle does not end in one value");
    return to_value(nodes_, stack_.back(), where_);
  }

  /// After run(): what follows the pickle.
  const ByteReader& reader() const { return reader_; }

 private:
  bool do_scalar(std::uint8_t opcode) {
    switch (opcode) {
      case none: push(std::monostate{}); return true;
      case newtrue: push(true); return true;
      case newfalse: push(false); return true;
      case binint: push(std::int64_t{reader_.read<std::int32_t>()}); return true;
      case binint1: push(std::int64_t{reader_.read<std::uint8_t>()}); return true;
      case binint2: push(std::int64_t{reader_.read<std::uint16_t>()}); return true;
      case long1: push(read_long()); return true;
      case binfloat: push(std::bit_cast<double>(__builtin_bswap64(reader_.read<std::uint64_t>()))); return true;
      case binunicode: push(std::string(reader_.take_text(reader_.read<std::uint32_t>()))); return true;
      case short_binunicode: push(std::string(reader_.take_text(reader_.read<std::uint8_t>()))); return true;
      default: return false;
    }
  }

  bool do_container(std::uint8_t opcode) {
    switch (opcode) {
      case mark: marks_.push_back(stack_.size()); return true;
      case empty_tuple: push(Tuple{}); return true;
      case tuple1: push(Tuple{pop_many(1)}); return true;
      case tuple2: push(Tuple{pop_many(2)}); return true;
      case tuple3: push(Tuple{pop_many(3)}); return true;
      case tuple: push(Tuple{pop_to_mark()}); return true;
      case empty_list: push(List{}); return true;
      case append: extend_list(pop_many(1)); return true;
      case appends: extend_list(pop_to_mark()); return true;
      case empty_dict: push(Dict{}); return true;
      case setitem: extend_dict(pop_many(2)); return true;
      case setitems: extend_dict(pop_to_mark()); return true;
      default: return false;
    }
  }

  bool do_object(std::uint8_t opcode) {
    switch (opcode) {
      case proto: read_protocol(); return true;
      case frame: read_frame(); return true;
      case binget: stack_.push_back(recall(reader_.read<std::uint8_t>())); return true;
      case long_binget: stack_.push_back(recall(reader_.read<std::uint32_t>())); return true;
      case binput: memo_[reader_.read<std::uint8_t>()] = peek(); return true;
      case long_binput: memo_[reader_.read<std::uint32_t>()] = peek(); return true;
      case memoize: memo_.insert_or_assign(static_cast<std::uint32_t>(memo_.size()), peek()); return true;
      case global: push(read_global()); return true;
      case stack_global: push(pop_global()); return true;
      case reduce: reduce_call(); return true;
      case build: drop_state(); return true;
      case binpersid: push(load_storage(pop())); return true;
      default: return false;
    }
  }

  template <class Value>
  void push(Value value) {
    if (nodes_.size() == kMaxNodes) reader_.fail(str("more than ", kMaxNodes, " objects"));
    nodes_.emplace_back(std::move(value));
    stack_.push_back(static_cast<Ref>(nodes_.size() - 1));
  }

  /// The top of the stack above the last mark.
  Ref peek() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) reader_.fail("the pickle's stack is empty");
    return stack_.back();
  }

  Ref pop() {
    const Ref ref = peek();
    stack_.pop_back();
    return ref;
  }

  std::vector<Ref> pop_many(std::size_t count) {
    std::vector<Ref> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) reader_.fail("no mark on the pickle's stack");
    const auto start = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Ref> items(start, stack_.end());
    stack_.erase(start, stack_.end());
    marks_.pop_back();
    return items;
  }

  Ref recall(std::uint32_t slot) const {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) reader_.fail(str("memo slot ", slot, " is empty"));
    return found->second;
  }

  /// The node as one kind, else a fault that says what was expected.
  template <class Kind>
  Kind& as(Ref ref, const char* expected) {
    Kind* node = std::get_if<Kind>(&nodes_[ref]);
    if (node == nullptr) reader_.fail(str("expected ", expected));
    return *node;
  }

  void extend_list(const std::vector<Ref>& items) {
    std::vector<Ref>& list = as<List>(peek(), "a list to append to").items;
    list.insert(list.end(), items.begin(), items.end());
  }

  void extend_dict(const std::vector<Ref>& items) {
    if (items.size() % 2 != 0) reader_.fail("a key without a value");
    std::vector<Ref>& dict = as<Dict>(peek(), "a dict to set items of").items;
    dict.insert(dict.end(), items.begin(), items.end());
  }

  void read_protocol() {
    const auto protocol = reader_.read<std::uint8_t>();
    if (protocol < 2 || protocol > 5) reader_.fail(str("pickle protocol ", int{protocol}, ", expected 2 to 5"));
  }

  void read_frame() {
    if (reader_.read<std::uint64_t>() > reader_.left()) reader_.fail("a frame reaches beyond the pickle");
  }

  std::int64_t read_long() {
    const std::size_t count = reader_.read<std::uint8_t>();
    if (count > sizeof(std::int64_t)) reader_.fail(str("an integer of ", count, " bytes, expected at most 8"));
    std::uint64_t bits = 0;
    const auto bytes = reader_.take(count);
    for (std::size_t i = 0; i < count; ++i) bits |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    if (count == 0) return 0;
    const auto unused = static_cast<int>(8 * (sizeof bits - count));
    return static_cast<std::int64_t>(bits << unused) >> unused;
  }

  Global read_global() {
    const std::string module(reader_.take_line());
    const std::string name(reader_.take_line());
    return find_global(module, name, where_);
  }

  Global pop_global() {
    const std::vector<Ref> names = pop_many(2);
    return find_global(as<std::string>(names[0], "a module's name"), as<std::string>(names[1], "a global's name"),
                       where_);
  }

  /// A persistent id: ("storage", type, key, device, number of elements), in files of the old form with a None behind
  /// it, where very old ones had the part of another storage.
  TorchStorage load_storage(Ref id) {
    const std::vector<Ref>& items = as<Tuple>(id, "a tuple as persistent id").items;
    if ((items.size() != 5 && items.size() != 6) ||
        as<std::string>(items[0], "the kind of a persistent id") != "storage") {
      reader_.fail("a persistent id that is no storage");
    }
    if (items.size() == 6 && !std::holds_alternative<std::monostate>(nodes_[items[5]])) {
      reader_.fail("a storage that is a part of another");
    }
    const Global& type = as<Global>(items[1], "a storage's type");
    if (type.role != Global::Role::storage_type) reader_.fail("expected a storage's type");
    return storages_.find(as<std::string>(items[2], "a storage's key"), type.dtype,
                          as<std::int64_t>(items[4], "a storage's number of elements"));
  }

  /// Builds what "callable(*arguments)" stands for.
  void reduce_call() {
    const std::vector<Ref> operands = pop_many(2);
    const Global callable = as<Global>(operands[0], "a known global to build with");
    const std::vector<Ref> arguments = as<Tuple>(operands[1], "a tuple of arguments").items;
    switch (callable.role) {
      case Global::Role::ordered_dict:
        if (!arguments.empty()) reader_.fail("an OrderedDict with arguments");
        push(Dict{{}, true});
        return;
      case Global::Role::rebuild_tensor: push(rebuild_tensor(arguments)); return;
      case Global::Role::rebuild_parameter:
        if (arguments.size() != 3) reader_.fail("a parameter needs 3 arguments");
        push(Tensor{as<Tensor>(arguments[0], "a parameter's tensor").raw,
                    as<bool>(arguments[1], "a parameter's requires_grad"), true});
        return;
      case Global::Role::storage_type: reader_.fail("a storage's type is not called");
    }
  }

  /// (storage, offset, shape, strides, requires_grad, hooks[, metadata])
  Tensor rebuild_tensor(const std::vector<Ref>& arguments) {
    if (arguments.size() != 6 && arguments.size() != 7) reader_.fail("a tensor needs 6 or 7 arguments");
    if (!as<Dict>(arguments[5], "a tensor's hooks").items.empty()) reader_.fail("a tensor with hooks");
    if (arguments.size() == 7 && !std::holds_alternative<std::monostate>(nodes_[arguments[6]])) {
      reader_.fail("a tensor with metadata (a conjugate or negated view)");
    }
    const bool requires_grad = as<bool>(arguments[4], "a tensor's requires_grad");
    return {storages_.view(as<TorchStorage>(arguments[0], "a tensor's storage"),
                           as<std::int64_t>(arguments[1], "a tensor's offset"), integers(arguments[2]),
                           integers(arguments[3])),
            requires_grad};
  }

  std::vector<std::int64_t> integers(Ref ref) {
    std::vector<std::int64_t> numbers;
    for (Ref item : as<Tuple>(ref, "a tuple of sizes or strides").items) {
      numbers.push_back(as<std::int64_t>(item, "an integer size or stride"));
    }
    return numbers;
  }

  /// Attributes of an OrderedDict carry no tensors and are skipped.
  void drop_state() {
    pop();
    if (!as<Dict>(peek(), "an OrderedDict to set attributes of").ordered) {
      reader_.fail("attributes for something other than an OrderedDict");
    }
  }

  ByteReader reader_;
  TorchStorages& storages_;
  const std::string& where_;
  std::vector<Node> nodes_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, Ref> memo_;
};

}  // namespace

PickleValue run_pickle(std::span<const std::byte> pickle, TorchStorages& storages, const std::string& where) {
  Machine machine(pickle, storages, where);
  PickleValue value = machine.run();
  if (machine.reader().left() != 0) machine.reader().fail("the pickle does not end in one value");
  return value;
}

PickleValue run_first_pickle(std::span<const std::byte>& bytes, TorchStorages& storages, const std::string& where) {
  Machine machine(bytes, storages, where);
  PickleValue value = machine.run();
  bytes = bytes.subspan(machine.reader().position());
  return value;
}

}  // namespace shine
