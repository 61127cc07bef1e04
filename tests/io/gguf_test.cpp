#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "io/expect_fault.h"
#include "io/gguf/gguf_file.h"
#include "io/gguf/gguf_writer.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using test::as_bytes;
using test::expect_fault;

std::string text(const std::string& content) {
  return as_bytes(std::uint64_t{content.size()}) + content;
}

std::string header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
  return "GGUF" + as_bytes(version) + as_bytes(tensors) + as_bytes(keys);
}

std::string key(const std::string& name, std::uint32_t type, const std::string& value) {
  return text(name) + as_bytes(type) + value;
}

std::string entry(const std::string& name, const std::vector<std::uint64_t>& sizes, std::uint32_t type,
                  std::uint64_t offset) {
  std::string bytes = text(name) + as_bytes(static_cast<std::uint32_t>(sizes.size()));
  for (const std::uint64_t size : sizes) bytes += as_bytes(size);
  return bytes + as_bytes(type) + as_bytes(offset);
}

std::string padded(std::string bytes, std::size_t alignment = 32) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
  return bytes;
}

class Gguf : public testing::Test {
 protected:
  std::filesystem::path save(const std::string& bytes) const { return folder_.write("x.gguf", bytes); }
  GgufFile read(const std::string& bytes) const { return GgufFile(save(bytes)); }
  void refused(const std::string& bytes, const std::string& message) const {
    expect_fault<FormatError>(message, [&] { read(bytes); });
  }

  test::TemporaryFolder folder_;
};

RawTensor floats(std::vector<std::int64_t> shape, const std::vector<float>& numbers) {
  return {DType::float32, std::move(shape), reinterpret_cast<const std::byte*>(numbers.data()), numbers.size() * 4, {}};
}

/// Written by the Python package gguf.
TEST_F(Gguf, ReadsWhatPythonWrote) {
  const GgufFile file(test::golden_dir() / "io/lora.gguf");
  EXPECT_EQ(*file.find<std::string>("general.architecture"), "qwen3");
  EXPECT_EQ(*file.find<std::string>("general.type"), "adapter");
  EXPECT_EQ(*file.find<float>("adapter.lora.alpha"), 2.5F);
  EXPECT_EQ(*file.find<std::uint8_t>("x.u8"), 200);
  EXPECT_EQ(*file.find<std::int8_t>("x.i8"), -100);
  EXPECT_EQ(*file.find<std::uint16_t>("x.u16"), 60000);
  EXPECT_EQ(*file.find<std::int16_t>("x.i16"), -30000);
  EXPECT_EQ(*file.find<std::uint32_t>("x.u32"), 4000000000U);
  EXPECT_EQ(*file.find<std::int32_t>("x.i32"), -2000000000);
  EXPECT_EQ(*file.find<std::uint64_t>("x.u64"), 1ULL << 63);
  EXPECT_EQ(*file.find<std::int64_t>("x.i64"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(*file.find<double>("x.f64"), 0.1);
  EXPECT_TRUE(*file.find<bool>("x.bool"));
  EXPECT_EQ(*file.find<GgufArray>("x.texts"), (GgufArray{8, {{std::string("a")}, {std::string("ü")}}}));
  EXPECT_EQ(*file.find<GgufArray>("x.ints"), (GgufArray{5, {{1}, {-2}, {3}}}));
  EXPECT_EQ(file.find<bool>("absent"), nullptr);
  expect_fault<FormatError>("\"x.u8\" has a value of another type", [&] { file.find<bool>("x.u8"); });
  const std::vector<std::string> names{"blk.0.attn_q.weight.lora_a", "half", "brain"};
  EXPECT_EQ(file.names(), names);
  const std::vector<float> numbers{0, 0.5, 1, 1.5, 2, 2.5};
  test::expect_equal(file.tensor(names[0]), floats({2, 3}, numbers), names[0]);
  EXPECT_EQ(test::content_of(file.tensor("half")), as_bytes(std::uint16_t{0x3C00}) + as_bytes(std::uint16_t{0xC000}));
  EXPECT_EQ(file.tensor("half").dtype, DType::float16);
  EXPECT_EQ(test::content_of(file.tensor("brain")), as_bytes(std::uint16_t{0x3F80}));
  EXPECT_EQ(file.tensor("brain").dtype, DType::bfloat16);
  expect_fault<FormatError>("no tensor \"x\"", [&] { file.tensor("x"); });
}

TEST_F(Gguf, WritesTheBytesThatPythonWrites) {
  const GgufFile file(test::golden_dir() / "io/lora.gguf");
  NamedRawTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
  const auto copy = folder_.path() / "copy.gguf";
  write_gguf(copy, tensors, file.metadata());
  EXPECT_EQ(GgufFile(copy).metadata(), file.metadata());
  EXPECT_EQ(std::filesystem::file_size(copy), std::filesystem::file_size(file.path()));
  for (const std::string& name : file.names()) {
    test::expect_equal(GgufFile(copy).tensor(name), file.tensor(name), name);
  }
}

TEST_F(Gguf, ReturnsAsWritten) {
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  const GgufMetadata metadata{{"empty", {GgufArray{9, {}}}},
                              {"nested", {GgufArray{9, {{GgufArray{7, {{true}, {false}}}}, {GgufArray{6, {}}}}}}}};
  const auto path = folder_.path() / "x";
  write_gguf(path, {{"b", floats({1, 2, 3}, numbers)}, {"a", floats({6}, numbers)}, {"e", floats({0, 2}, {})}},
             metadata);
  const GgufFile file(path);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"b", "a", "e"}));
  test::expect_equal(file.tensor("b"), floats({1, 2, 3}, numbers), "b");
  test::expect_equal(file.tensor("a"), floats({6}, numbers), "a");
  EXPECT_EQ(file.tensor("e").bytes, 0U);
  write_gguf(path, {}, {});
  EXPECT_TRUE(GgufFile(path).names().empty());
}

TEST_F(Gguf, TheWriterRefusesWhatTheFormatCannotHold) {
  const std::vector<float> numbers{1, 2};
  const auto write = [&](const NamedRawTensors& tensors, const GgufMetadata& metadata = {}) {
    write_gguf(folder_.path() / "x", tensors, metadata);
  };
  const RawTensor sound = floats({2}, numbers);
  expect_fault<FormatError>("it is there twice", [&] { write({{"a", sound}, {"a", sound}}); });
  expect_fault<FormatError>("the name has 64 bytes", [&] { write({{std::string(64, 'a'), sound}}); });
  expect_fault<FormatError>("0 dimensions", [&] { write({{"a", floats({}, {1})}}); });
  expect_fault<FormatError>("5 dimensions", [&] { write({{"a", floats({1, 1, 1, 1, 2}, numbers)}}); });
  expect_fault<FormatError>("8 bytes, not what its shape [3] needs", [&] { write({{"a", floats({3}, numbers)}}); });
  RawTensor wide = floats({1}, numbers);
  wide.dtype = DType::float64;
  expect_fault<UnsupportedError>("float64 in a GGUF file", [&] { write({{"a", wide}}); });
  expect_fault<FormatError>("the alignment is always 32", [&] { write({}, {{"general.alignment", {1U}}}); });
  expect_fault<FormatError>("GGUF array of type 4 has a value of type 5", [&] {
    write({}, {{"a", {GgufArray{4, {{1}}}}}});
  });
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(Gguf, RefusesOtherFiles) {
  refused("", "not a GGUF file");
  refused("GGU", "not a GGUF file");
  refused("GGML" + header(0, 0).substr(4), "not a GGUF file");
  refused(header(0, 0, 1), "GGUF version 1");
  refused(header(0, 0, 4), "GGUF version 4");
  refused(header(0, 0, 0x3000000), "a big-endian GGUF file");
  refused(header(0, 0).substr(0, 20), "needs 8 more bytes");
  EXPECT_TRUE(read(header(0, 0, 2)).names().empty());
  expect_fault<IoError>("absent", [&] { GgufFile(folder_.path() / "absent"); });
}

TEST_F(Gguf, RefusesBadMetadata) {
  const std::uint64_t huge = ~std::uint64_t{0};
  refused(header(0, 1'000'001), "1000001 keys");
  refused(header(0, huge), "keys");
  refused(header(0, 1) + as_bytes(huge), "a text of 18446744073709551615 bytes");
  refused(header(0, 1) + as_bytes(std::uint64_t{5}) + "ab", "needs 5 more bytes");
  refused(header(0, 2) + key("a", 7, "\1") + key("a", 7, "\1"), "key \"a\" is there twice");
  refused(header(0, 1) + key("a", 13, ""), "a value of type 13");
  refused(header(0, 1) + key("a", 7, "\2"), "a bool of 2");
  refused(header(0, 1) + key("a", 4, "123"), "needs 4 more bytes");
  refused(header(0, 1) + key("a", 8, as_bytes(huge)), "a text of 18446744073709551615 bytes");
  const auto array = [](std::uint32_t type, std::uint64_t count) { return as_bytes(type) + as_bytes(count); };
  refused(header(0, 1) + key("a", 9, array(0, huge)), "an array of 18446744073709551615 values");
  refused(header(0, 1) + key("a", 9, array(13, 0)), "an array of type 13");
  refused(header(0, 1) + key("a", 9, array(0, 4'000'001) + std::string(4'000'001, '\0')), "more than 4000000 values");
  std::string nested;
  for (int depth = 0; depth < 9; ++depth) nested += array(9, 1);
  refused(header(0, 1) + key("a", 9, nested), "more than 8 arrays in each other");
}

TEST_F(Gguf, RefusesBadTensors) {
  const std::string data(32, '\0');
  const auto one = [&](const std::string& tensor) { return padded(header(1, 0) + tensor) + data; };
  EXPECT_EQ(read(one(entry("a", {8}, 0, 0))).tensor("a").bytes, 32U);
  refused(header(1'000'001, 0), "1000001 tensors");
  refused(one(entry(std::string(64, 'a'), {8}, 0, 0)), "a text of 64 bytes");
  refused(one(entry("a", {}, 0, 0)), "0 dimensions");
  refused(one(entry("a", {1, 1, 1, 1, 8}, 0, 0)), "5 dimensions");
  refused(one(entry("a", {std::uint64_t{1} << 63}, 0, 0)), "a size of 9223372036854775808");
  refused(one(entry("a", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, 0)), "overflows");
  refused(one(entry("a", {8}, 0, 32)), "starts at 32, expected 0");
  refused(one(entry("a", {9}, 0, 0)), "36 bytes at 0 lie outside the file's 32 bytes");
  refused(one(entry("a", {8}, 5, 0)), "type 5 is not known");
  refused(one(entry("a", {8}, 0, 0)) + "x", "1 bytes behind the last tensor");
  refused(header(1, 0) + entry("a", {8}, 0, 0), "the file ends before its tensors");
  expect_fault<UnsupportedError>("tensor \"a\": type Q8_0 is not supported", [&] { read(one(entry("a", {8}, 8, 0))); });
  const std::string two = entry("a", {2}, 0, 0);
  refused(padded(header(2, 0) + two + entry("a", {2}, 0, 32)) + data, "it is there twice");
  refused(padded(header(2, 0) + two + entry("b", {2}, 0, 8)) + data, "starts at 8, expected 32");
  EXPECT_EQ(read(padded(header(2, 0) + two + entry("b", {2}, 0, 32)) + data + std::string(8, '\1')).names().size(), 2U)
      << "the last one needs no padding";
}

TEST_F(Gguf, TakesTheAlignmentOfTheMetadata) {
  const auto file = [](std::uint32_t alignment) {
    return padded(header(2, 1) + key("general.alignment", 4, as_bytes(alignment)) + entry("a", {1}, 0, 0) +
                      entry("b", {1}, 0, alignment),
                  alignment) +
           padded(as_bytes(1.0F), alignment) + as_bytes(2.0F);
  };
  for (const std::uint32_t alignment : {8U, 64U, 4096U}) {
    EXPECT_EQ(test::content_of(read(file(alignment)).tensor("b")), as_bytes(2.0F)) << alignment;
  }
  for (const std::uint32_t alignment : {4U, 24U, 1U << 21}) refused(file(alignment), "expected a power of two from 8");
  refused(header(0, 1) + key("general.alignment", 4, as_bytes(0U)), "general.alignment is 0");
  refused(header(0, 1) + key("general.alignment", 8, text("32")), "has a value of another type");
}

}  // namespace
}  // namespace shine
