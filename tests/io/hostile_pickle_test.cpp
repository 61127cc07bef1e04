#include <gtest/gtest.h>

#include "io/expect_fault.h"
#include "io/torch_format/torch_pickle.h"
#include "io/zip_builder.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using test::build_zip;
using test::expect_fault;
using test::u32;
using test::ZipEnd;
using test::ZipEntry;

const std::string kProto = "\x80\x02";

std::string text(const std::string& content) {
  return "X" + u32(content.size()) + content;
}

std::string number(std::int64_t value) {
  return "\x8a\x08" + test::as_bytes(value);
}

std::string numbers(const std::vector<std::int64_t>& values) {
  std::string pickle = "(";
  for (const std::int64_t value : values) pickle += number(value);
  return pickle + "t";
}

std::string storage(const std::string& type = "FloatStorage", const std::string& key = "0", std::int64_t numel = 4) {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(key) + text("cpu") + number(numel) + "tQ";
}

std::string tensor(const std::string& stored, std::int64_t offset, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + stored + number(offset) + numbers(shape) + numbers(strides) + "\x89" +
         "ccollections\nOrderedDict\n)RtR";
}

/// An archive as torch.save lays it out; storage 0 holds 16 bytes.
std::vector<ZipEntry> archive(const std::string& pickle) {
  return {{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", std::string(16, '\1')}};
}

/// Containers nested `depth` times around None, each one opcode to build.
std::string nested(std::size_t depth) {
  return kProto + "N" + std::string(depth, '\x85') + ".";
}

/// A tuple of ten references to a tuple of ten references to .. a long string.
std::string billion_laughs(std::size_t levels) {
  std::string pickle = kProto + std::string(levels, '(') + text(std::string(1000, 'x'));
  for (std::size_t level = 0; level < levels; ++level) {
    const std::string slot(1, static_cast<char>(level));
    pickle += "q" + slot;
    for (int i = 0; i < 9; ++i) pickle += "h" + slot;
    pickle += "t";
  }
  return pickle + ".";
}

struct Hostile {
  std::string name;
  std::string bytes;
  std::string fault;
};

void PrintTo(const Hostile& file, std::ostream* out) {
  *out << file.name;
}

Hostile pickle(const std::string& name, const std::string& content, const std::string& fault) {
  return {name, build_zip(archive(content)), fault};
}

class HostileTorchFile : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTorchFile, IsRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  test::write_bytes(path, GetParam().bytes);
  expect_fault<FormatError>(GetParam().fault, [&] { read_torch_file(path); });
}

const auto row_name = [](const auto& row) { return row.param.name; };

INSTANTIATE_TEST_SUITE_P(
    Pickle, HostileTorchFile,
    testing::Values(
        pickle("empty", "", "needs 1 more bytes"), pickle("no_value", kProto + ".", "does not end in one value"),
        pickle("two_values", kProto + "NN.", "does not end in one value"),
        pickle("open_mark", kProto + "N(.", "does not end in one value"),
        pickle("after_stop", kProto + "N.N", "does not end in one value"),
        pickle("protocol_9", "\x80\x09N.", "protocol 9"),
        pickle("system", kProto + "cposix\nsystem\n(" + text("true") + "tR.", "\"posix.system\" was refused"),
        pickle("eval_by_stack",
               "\x80\x04\x8c\x08"
               "builtins\x8c\x04"
               "eval\x93.",
               "\"builtins.eval\" was refused"),
        pickle("extension_opcode", kProto + "\x82\x01.", "pickle opcode 130"),
        pickle("instance_opcode", kProto + "(i__main__\nA\n.", "pickle opcode 105"),
        pickle("endless_line", kProto + "ctorch", "without an end"),
        pickle("huge_string",
               kProto + "X\xff\xff\xff\xff"
                        "a.",
               "needs 4294967295 more bytes"),
        pickle("huge_frame", "\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "frame"),
        pickle("huge_integer", kProto + "\x8a\x09" + std::string(9, '\1') + ".", "integer of 9 bytes"),
        pickle("tuple_without_mark", kProto + "Nt.", "no mark"),
        pickle("pop_below_mark", kProto + "N(\x85.", "stack is empty"),
        pickle("put_on_empty_stack", kProto + "q\x01.", "stack is empty"),
        pickle("unset_memo", kProto + "h\x07.", "memo slot 7 is empty"),
        pickle("odd_items", kProto + "}(Nu.", "key without a value"),
        pickle("append_to_dict", kProto + "}Na.", "expected a list to"),
        pickle("set_in_list", kProto + "]NNs.", "expected a dict to"),
        pickle("call_a_string", kProto + text("a") + ")R.", "expected a known global"),
        pickle("call_a_type", kProto + "ctorch\nFloatStorage\n)R.", "not called"),
        pickle("build_on_dict", kProto + "}}b.", "other than an OrderedDict"),
        pickle("list_in_itself", kProto + "]q\1h\1a.", "inside itself"),
        pickle("dict_in_itself", kProto + "}q\1K\1h\1s.", "inside itself"), pickle("deep", nested(100), "more than 64"),
        pickle("very_deep", nested(200'000), "more than 64"), pickle("billion_laughs", billion_laughs(9), "expand to"),
        pickle("too_many_objects", kProto + std::string(1'000'001, 'N') + ".", "more than 1000000 objects"),
        pickle("key_twice", kProto + "}(K\1NK\1Nu.", "same key twice"),
        pickle("tuple_key", kProto + "}(" + ")Nu.", "neither"),
        pickle("bare_global", kProto + "ccollections\nOrderedDict\n.", "Python class"),
        pickle("bare_storage", kProto + storage() + ".", "bare storage"),
        pickle("other_persistent_id", kProto + "(" + text("module") + "NNNNtQ.", "no storage"),
        pickle("short_persistent_id", kProto + "(" + text("storage") + "tQ.", "no storage"),
        pickle("too_large", std::string((16 << 20) + 1, 'N'), "expected at most 16777216")),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Tensors, HostileTorchFile,
    testing::Values(
        pickle("absent_storage", kProto + storage("FloatStorage", "1") + ".", "not in the archive"),
        pickle("path_as_key", kProto + storage("FloatStorage", "../byteorder") + ".", "not in the archive"),
        pickle("storage_too_long", kProto + storage("FloatStorage", "0", 5) + ".", "holds 16 bytes"),
        pickle("storage_too_short", kProto + storage("FloatStorage", "0", 3) + ".", "holds 16 bytes"),
        pickle("storage_overflow", kProto + storage("DoubleStorage", "0", std::int64_t{1} << 61) + ".",
               "holds 16 bytes"),
        pickle("negative_numel", kProto + storage("FloatStorage", "0", -1) + ".", "holds 16 bytes"),
        pickle("offset_outside", kProto + tensor(storage(), 4, {1}, {1}) + ".", "reach outside"),
        pickle("negative_offset", kProto + tensor(storage(), -1, {1}, {1}) + ".", "negative offset"),
        pickle("size_outside", kProto + tensor(storage(), 1, {4}, {1}) + ".", "reach outside"),
        pickle("negative_size", kProto + tensor(storage(), 0, {-1}, {1}) + ".", "negative or overflows"),
        pickle("stride_outside", kProto + tensor(storage(), 0, {2, 2}, {3, 1}) + ".", "reach outside"),
        pickle("negative_stride", kProto + tensor(storage(), 3, {2}, {-1}) + ".", "negative stride"),
        pickle("stride_overflow", kProto + tensor(storage(), 0, {3}, {INT64_MAX}) + ".", "reach outside"),
        pickle("offset_overflow", kProto + tensor(storage(), INT64_MAX, {2}, {1}) + ".", "reach outside"),
        pickle("shape_overflow", kProto + tensor(storage(), 0, {INT64_MAX, 2}, {0, 0}) + ".", "overflows"),
        pickle("expanded_bomb", kProto + tensor(storage(), 0, {1'000'000'000'000}, {0}) + ".", "expand to far more"),
        pickle("expanded_bombs_together",
               kProto + "(" + tensor(storage(), 0, {10'000'000}, {0}) + tensor(storage(), 0, {10'000'000}, {0}) + "t.",
               "expand to far more"),
        pickle("more_strides", kProto + tensor(storage(), 0, {1}, {1, 1}) + ".", "1 sizes and 2 strides"),
        pickle("many_dimensions",
               kProto + tensor(storage(), 0, std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)) + ".",
               "at most 64"),
        pickle("hooks",
               kProto + "ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + number(0) + "))\x89}K\1Ns" + "tR.",
               "hooks"),
        pickle("conjugate", kProto + "ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + number(0) + "))\x89}}tR.",
               "metadata"),
        pickle("few_arguments", kProto + "ctorch._utils\n_rebuild_tensor_v2\n)R.", "6 or 7 arguments"),
        pickle("text_as_storage", kProto + tensor(text("0"), 0, {1}, {1}) + ".", "expected a tensor's storage"),
        pickle("parameter_without_flag",
               kProto + "ctorch._utils\n_rebuild_parameter\n(" + tensor(storage(), 0, {4}, {1}) + "N}tR.",
               "expected a parameter's requires_grad"),
        pickle("parameter_of_text", kProto + "ctorch._utils\n_rebuild_parameter\n(" + text("a") + "\x89}tR.",
               "expected a parameter's tensor"),
        Hostile{"bad_bool",
                build_zip({{"a/data.pkl", kProto + tensor(storage("BoolStorage", "0", 1), 0, {1}, {1}) + "."},
                           {"a/data/0", "\2"}}),
                "expected 0 or 1"}),
    row_name);

ZipEntry entry(std::string name, std::string content = "x") {
  return {std::move(name), std::move(content)};
}

/// A sound archive but for one changed entry.
template <class Change>
std::string changed(Change&& change) {
  std::vector<ZipEntry> entries = archive(kProto + "N.");
  change(entries.back());
  return build_zip(entries);
}

std::string with_end(const ZipEnd& end) {
  return build_zip(archive(kProto + "N."), end);
}

INSTANTIATE_TEST_SUITE_P(
    Zip, HostileTorchFile,
    testing::Values(
        Hostile{"empty_file", "", "too short"},
        Hostile{"legacy_pickle", kProto + std::string(100, 'N'), "no zip end record"},
        Hostile{"compressed", changed([](ZipEntry& e) { e.method = 8; }), "compressed"},
        Hostile{"bomb", changed([](ZipEntry& e) { e.size = 0x7fffffff; }), "compressed"},
        Hostile{"encrypted", changed([](ZipEntry& e) { e.flags = 1; }), "encrypted"},
        Hostile{"out_of_range", changed([](ZipEntry& e) { e.stored = e.size = 0x7fffffff; }), "reaches outside"},
        Hostile{"header_outside", changed([](ZipEntry& e) { e.header_offset = 0x7fffffff; }), "lies outside the file"},
        Hostile{"header_in_data", changed([](ZipEntry& e) { e.header_offset = 3; }), "no local header"},
        Hostile{"other_local_name", changed([](ZipEntry& e) { e.local_name = "a/data/1"; }), "disagree"},
        Hostile{"other_disk", changed([](ZipEntry& e) { e.disk = 1; }), "another part"},
        Hostile{"into_directory", changed([](ZipEntry& e) { e.stored = e.size = 20; }), "reaches outside"},
        Hostile{"zip64_sizes_absent", changed([](ZipEntry& e) { e.stored = e.size = 0xffffffff; }), "lacks its zip64"},
        Hostile{"zip64_sizes_short", changed([](ZipEntry& e) {
                  e.stored = e.size = 0xffffffff;
                  e.extra = test::u16(1) + test::u16(8) + test::u64(16);
                }),
                "needs 8 more bytes"},
        Hostile{"zip64_sizes_huge", changed([](ZipEntry& e) {
                  e.stored = e.size = 0xffffffff;
                  e.extra = test::u16(1) + test::u16(16) + test::u64(UINT64_MAX) + test::u64(UINT64_MAX);
                }),
                "reaches outside"},
        Hostile{"extra_too_long", changed([](ZipEntry& e) {
                  e.header_offset = 0xffffffff;
                  e.extra = test::u16(7) + test::u16(100);
                }),
                "needs 100 more bytes"},
        Hostile{"damaged_storage",
                build_zip({{"a/data.pkl", kProto + tensor(storage(), 0, {4}, {1}) + "."},
                           {.name = "a/data/0", .content = std::string(16, '\1'), .crc = 1}}),
                "\"a/data/0\" is damaged"},
        Hostile{"damaged_pickle", build_zip({{.name = "a/data.pkl", .content = kProto + "N.", .crc = 1}}),
                "\"a/data.pkl\" is damaged"},
        Hostile{"overlapping",
                [] {
                  std::vector<ZipEntry> entries = archive(kProto + "N.");
                  entries[0].stored = entries[0].size = 40;
                  return build_zip(entries);
                }(),
                "overlap"},
        Hostile{"same_name", build_zip({entry("a/x"), entry("a/x")}), "two entries are named"},
        Hostile{"no_pickle", build_zip({entry("a/x")}), "expected 1"},
        Hostile{"two_pickles", build_zip({entry("a/data.pkl"), entry("b/data.pkl")}), "2 entries"},
        Hostile{"big_endian", build_zip({entry("a/data.pkl"), entry("a/byteorder", "big")}), "byte order"},
        Hostile{"comment", with_end({.comment = "c"}), "no zip end record"},
        Hostile{"parts", with_end({.disk = 1}), "in parts"},
        Hostile{"entry_missing", with_end({.extra_entries = 1}), "needs"},
        Hostile{"entry_uncounted", with_end({.extra_entries = -1}), "after the last entry"},
        Hostile{"directory_early", with_end({.directory_shift = -1}), "does not end"},
        Hostile{"directory_late", with_end({.directory_shift = 1}), "does not end"},
        Hostile{"giant_count", with_end({.zip64 = true, .extra_entries = INT64_MAX - 5}), "needs"},
        Hostile{"giant_offset", with_end({.zip64 = true, .directory_shift = INT64_MIN}), "does not end"},
        Hostile{"zip64_record_outside", with_end({.zip64 = true, .zip64_shift = INT64_MAX - 1000}), "lies outside"},
        Hostile{"zip64_record_elsewhere", with_end({.zip64 = true, .zip64_shift = -1}), "not where its locator says"}),
    row_name);

TEST(HandMadeTorchFile, SoundOnesAreRead) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  for (const bool zip64 : {false, true}) {
    std::vector<ZipEntry> entries = archive(kProto + tensor(storage(), 1, {3}, {1}) + ".");
    if (zip64) {
      entries.back().stored = entries.back().size = 0xffffffff;
      entries.back().extra = test::u16(1) + test::u16(16) + test::u64(16) + test::u64(16);
    }
    test::write_bytes(path, build_zip(entries, {.zip64 = zip64}));
    const PickleValue value = read_torch_file(path);
    EXPECT_EQ(test::content_of(std::get<RawTensor>(value.value)), std::string(12, '\1'));
  }
}

TEST(HandMadeTorchFile, ChecksumsAreComparedWhereRecordedAndUsed) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  std::vector<ZipEntry> entries = archive(kProto + tensor(storage(), 0, {4}, {1}) + ".");
  for (ZipEntry& entry : entries) entry.crc = 0;
  entries.push_back({.name = "a/.data/serialization_id", .content = "unused", .crc = 1});
  test::write_bytes(path, build_zip(entries));
  EXPECT_NO_THROW(read_torch_file(path));
}

TEST(HandMadeTorchFile, EveryTruncationOfThePickleIsRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  const std::string whole = kProto + "}(" + text("a") + tensor(storage(), 1, {3}, {1}) + text("b") + "K\1u.";
  test::write_bytes(path, build_zip(archive(whole)));
  EXPECT_NO_THROW(read_torch_file(path));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_bytes(path, build_zip(archive(whole.substr(0, size))));
    EXPECT_THROW(read_torch_file(path), FormatError) << size;
  }
}

TEST(HandMadeTorchFile, StateOfAnOrderedDictIsPassedOver) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  test::write_bytes(path, build_zip(archive(kProto + "ccollections\nOrderedDict\n)RK\1Ns}b.")));
  EXPECT_EQ(std::get<PickleDict>(read_torch_file(path).value).size(), 1U);
}

}  // namespace
}  // namespace shine
