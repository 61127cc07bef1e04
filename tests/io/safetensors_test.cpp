#include "shine/io/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "io/expect_fault.h"
#include "io/files/text_file.h"
#include "io/safetensors/write_as_made.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using test::as_bytes;
using test::expect_fault;

std::string file_of(const std::string& header, std::size_t data_bytes) {
  return as_bytes(std::uint64_t{header.size()}) + header + std::string(data_bytes, '\1');
}

class Safetensors : public testing::Test {
 protected:
  std::filesystem::path save(std::string_view bytes) const {
    test::write_bytes(folder_.path() / "x.safetensors", bytes);
    return folder_.path() / "x.safetensors";
  }

  test::TemporaryFolder folder_;
};

TEST_F(Safetensors, ReadsEveryDtypeThatPythonWrote) {
  const SafetensorsFile file(test::golden_dir() / "io/dtypes.expected.safetensors");
  ASSERT_EQ(file.names().size(), 10U);
  for (const std::string& name : file.names()) {
    const RawTensor tensor = file.tensor(name);
    EXPECT_EQ(name_of(tensor.dtype), name);
    EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, 3}));
  }
  const std::vector<double> doubles = {-2, -0.5, 1, 2.5, 4, 5.5};
  EXPECT_EQ(test::content_of(file.tensor("float64")),
            std::string(reinterpret_cast<const char*>(doubles.data()), doubles.size() * sizeof(double)));
  const std::vector<std::uint16_t> bfloats = {0xc000, 0xbf00, 0x3f80, 0x4020, 0x4080, 0x40b0};
  EXPECT_EQ(test::content_of(file.tensor("bfloat16")),
            std::string(reinterpret_cast<const char*>(bfloats.data()), bfloats.size() * 2));
  EXPECT_EQ(test::content_of(file.tensor("bool")), std::string({1, 0, 0, 1, 0, 0}));
}

TEST_F(Safetensors, ReadsMetadataScalarsAndEmptyTensors) {
  const SafetensorsFile file(test::golden_dir() / "io/metadata.safetensors");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"k", "ü"}}));
  const SafetensorsFile shapes(test::golden_dir() / "io/shapes.expected.safetensors");
  EXPECT_TRUE(shapes.tensor("scalar").shape.empty());
  EXPECT_EQ(shapes.tensor("scalar").bytes, 4U);
  EXPECT_EQ(shapes.tensor("empty").shape, (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(shapes.tensor("empty").bytes, 0U);
}

TEST_F(Safetensors, WritesTheBytesThatPythonWrites) {
  for (const char* name : {"dtypes", "shapes", "views", "lora", "state_dict"}) {
    const auto golden = test::golden_dir() / "io" / str(name, ".expected.safetensors");
    const SafetensorsFile file(golden);
    NamedRawTensors tensors;
    for (const std::string& tensor : file.names()) tensors.emplace_back(tensor, file.tensor(tensor));
    std::reverse(tensors.begin(), tensors.end());
    const auto copy = folder_.path() / "copy.safetensors";
    write_safetensors(copy, tensors, file.metadata());
    const SafetensorsFile again(copy);
    EXPECT_EQ(again.entries().size(), file.entries().size());
    for (const std::string& tensor : file.names()) {
      test::expect_equal(again.tensor(tensor), file.tensor(tensor), tensor);
      EXPECT_EQ(again.entries().at(tensor).begin % size_of(file.tensor(tensor).dtype), 0U);
    }
    EXPECT_EQ(again.metadata(), file.metadata());
    EXPECT_EQ(std::filesystem::file_size(copy), std::filesystem::file_size(golden));
  }
}

TEST_F(Safetensors, TensorsOutliveTheFileAndItsReplacement) {
  const auto path = save(file_of(R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})", 2));
  const RawTensor tensor = SafetensorsFile(path).tensor("a");
  write_safetensors(path, {{"b", tensor}});
  EXPECT_EQ(test::content_of(tensor), "\1\1");
  EXPECT_EQ(test::content_of(SafetensorsFile(path).tensor("b")), "\1\1");
}

TEST_F(Safetensors, CopiesMisalignedTensors) {
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const RawTensor tensor = SafetensorsFile(save(file_of(header, 5))).tensor("b");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % 4, 0U);
  EXPECT_EQ(test::content_of(tensor), "\1\1\1\1");
}

struct Hostile {
  const char* name;
  std::string header;
  std::size_t data_bytes;
  const char* fault;
};

void PrintTo(const Hostile& file, std::ostream* out) {
  *out << file.name;
}

class HostileSafetensors : public testing::TestWithParam<Hostile> {};

TEST_P(HostileSafetensors, IsRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  test::write_bytes(path, file_of(GetParam().header, GetParam().data_bytes));
  expect_fault<FormatError>(GetParam().fault, [&] { const SafetensorsFile file(path); });
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostileSafetensors,
    testing::Values(
        Hostile{"no_object", "[]", 0, "no JSON object"}, Hostile{"no_json", "{x}", 0, "header:1:2"},
        Hostile{"two_values", "{}{}", 0, "header:1:3"},
        Hostile{
            "duplicate_name",
            R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
            1, "duplicate key \"a\""},
        Hostile{"unknown_dtype", R"({"a":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}})", 1, "F8_E5M2"},
        Hostile{"no_shape", R"({"a":{"dtype":"I8","data_offsets":[0,1]}})", 1, "\"shape\" is missing"},
        Hostile{"extra_key", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "expected only"},
        Hostile{"negative_size", R"({"a":{"dtype":"I8","shape":[-1],"data_offsets":[0,1]}})", 1, "expected integers"},
        Hostile{"fraction", R"({"a":{"dtype":"I8","shape":[1.0],"data_offsets":[0,1]}})", 1, "expected integers"},
        Hostile{"size_over_int64", R"({"a":{"dtype":"I8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1,
                "expected integers"},
        Hostile{"overflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "overflows"},
        Hostile{"overflow_by_element", R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
                "overflows"},
        Hostile{"size_and_offsets", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs 8 bytes"},
        Hostile{"begin_after_end", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[2,1]}})", 4, "lie outside"},
        Hostile{"end_outside", R"({"a":{"dtype":"I8","shape":[5],"data_offsets":[0,5]}})", 4, "lie outside"},
        Hostile{"three_offsets", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1,1]}})", 1, "expected 2"},
        Hostile{"hole_at_start", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})", 2, "leave a hole"},
        Hostile{"hole_at_end", R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 2, "cover 1 bytes of 2"},
        Hostile{
            "overlap",
            R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})",
            3, "overlap"},
        Hostile{
            "same_range",
            R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})",
            2, "overlap"},
        Hostile{"metadata_number", R"({"__metadata__":{"a":1}})", 0, "expected a string"},
        Hostile{"metadata_list", R"({"__metadata__":[]})", 0, "expected an object"},
        Hostile{"tensor_is_text", R"({"a":"b"})", 0, "expected an object"},
        Hostile{"deep", "{\"a\":" + std::string(100000, '[') + "1" + std::string(100000, ']') + "}", 0, "nested"},
        Hostile{"many_dimensions",
                [] {
                  std::string shape = "1";
                  for (int i = 0; i < 64; ++i) shape += ",1";
                  return R"({"a":{"dtype":"I8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})";
                }(),
                1, "at most 64"},
        Hostile{"invalid_utf8", "{\"\xff\":1}", 0, "UTF-8"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Safetensors, RefusesLyingHeaderLengths) {
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100'000'000}, std::uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
    expect_fault<FormatError>("header of", [&] { const SafetensorsFile file(save(as_bytes(length) + "{}")); });
  }
}

TEST_F(Safetensors, RefusesBooleansOtherThanZeroAndOne) {
  const auto path = save(file_of(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 0) + "\2");
  const SafetensorsFile file(path);
  expect_fault<FormatError>("expected 0 or 1", [&] { file.tensor("a"); });
}

TEST_F(Safetensors, RefusesEveryTruncation) {
  const std::string whole = read_text_file(test::golden_dir() / "io/dtypes.expected.safetensors");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = save(std::string_view(whole).substr(0, size));
    EXPECT_THROW(SafetensorsFile{path}, FormatError) << size;
  }
}

TEST_F(Safetensors, NamesWhatIsMissing) {
  expect_fault<IoError>("absent.safetensors",
                        [&] { const SafetensorsFile file(folder_.path() / "absent.safetensors"); });
  const SafetensorsFile file(test::golden_dir() / "io/metadata.safetensors");
  expect_fault<FormatError>("no tensor \"z\"", [&] { file.tensor("z"); });
}

TEST_F(Safetensors, WriterRefusesWhatReadersWould) {
  const std::byte byte{1};
  const RawTensor one{DType::int8, {1}, &byte, 1, nullptr};
  const RawTensor lying{DType::int8, {2}, &byte, 1, nullptr};
  const auto path = folder_.path() / "x.safetensors";
  expect_fault<FormatError>("two tensors are named \"a\"", [&] { write_safetensors(path, {{"a", one}, {"a", one}}); });
  expect_fault<FormatError>("__metadata__", [&] { write_safetensors(path, {{"__metadata__", one}}); });
  expect_fault<FormatError>("has 1 bytes", [&] { write_safetensors(path, {{"a", lying}}); });
  expect_fault<FormatError>("UTF-8", [&] { write_safetensors(path, {{"\xff", one}}); });
  expect_fault<IoError>("no/such", [&] { write_safetensors(folder_.path() / "no/such", {{"a", one}}); });
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(Safetensors, TensorsAreMadeOneAtATimeInTheOrderOfTheFile) {
  const auto path = folder_.path() / "x.safetensors";
  const std::vector<std::int32_t> numbers = {1, 2, 3};
  const auto raw = [&](std::size_t count) {
    return RawTensor{DType::int32,
                     {static_cast<std::int64_t>(count)},
                     reinterpret_cast<const std::byte*>(numbers.data()),
                     4 * count,
                     nullptr};
  };
  std::string made;
  const auto make = [&](const std::string& name) {
    made += name;
    return raw(name == "a" ? 2 : 3);
  };
  write_safetensors_as_made(path, {{"b", DType::int32, {3}}, {"a", DType::int32, {2}}}, make, {{"k", "v"}});
  EXPECT_EQ(made, "ab");
  const std::string bytes = read_text_file(path);
  write_safetensors(path, {{"a", raw(2)}, {"b", raw(3)}}, {{"k", "v"}});
  EXPECT_EQ(bytes, read_text_file(path));
  std::filesystem::remove(path);
  expect_fault<FormatError>("tensor \"b\" has 12 bytes", [&] {
    write_safetensors_as_made(path, {{"b", DType::int32, {4}}}, make);
  });
  expect_fault<FormatError>("overflows", [&] {
    write_safetensors_as_made(path, {{"b", DType::int32, {INT64_MAX, 4}}}, make);
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(Safetensors, ReportsADiskThatTakesNoMore) {
  const std::vector<std::byte> content(1 << 20);
  const RawTensor tensor{DType::int8, {1 << 20}, content.data(), content.size(), nullptr};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit{1 << 16, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  expect_fault<IoError>("x.safetensors: cannot write", [&] {
    write_safetensors(folder_.path() / "x.safetensors", {{"a", tensor}});
  });
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace shine
