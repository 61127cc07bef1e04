#include "io/torch_format/torch_pickle.h"

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <vector>

#include "io/expect_fault.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "support/paths.h"

namespace shine {
namespace {

using test::expect_fault;

/// Compares a torch.save file with a safetensors file of the same tensors; a lone tensor is named "tensor" there.
void expect_same_tensors(const std::filesystem::path& torch_file, const std::filesystem::path& expected_file) {
  const SafetensorsFile expected(expected_file);
  const auto tensors = flatten_tensors(read_torch_file(torch_file), torch_file.string());
  EXPECT_EQ(tensors.size(), expected.names().size());
  for (const auto& [name, tensor] : tensors) {
    const std::string key = name.empty() ? "tensor" : name;
    ASSERT_TRUE(expected.contains(key)) << key;
    test::expect_equal(tensor, expected.tensor(key), key);
  }
}

TEST(TorchPickle, ReadsWhatTorchSaveWrote) {
  for (const char* name : {"dtypes", "parameter", "shapes", "views", "state_dict", "lora"}) {
    SCOPED_TRACE(name);
    const auto folder = test::golden_dir() / "io";
    expect_same_tensors(folder / str(name, ".pt"), folder / str(name, ".expected.safetensors"));
  }
}

TEST(TorchPickle, ReadsTheFormBeforeZip) {
  for (const char* name : {"dtypes", "parameter", "shapes", "views", "state_dict"}) {
    SCOPED_TRACE(name);
    const auto folder = test::golden_dir() / "io";
    expect_same_tensors(folder / str("legacy_", name, ".pt"), folder / str(name, ".expected.safetensors"));
  }
  const auto parameter = read_torch_file(test::golden_dir() / "io/legacy_parameter.pt");
  EXPECT_EQ(parameter.type, PickleType::parameter);
  EXPECT_TRUE(parameter.requires_grad);
}

TEST(TorchPickle, ReadsProtocolsTwoToFive) {
  for (int protocol = 2; protocol <= 5; ++protocol) {
    const PickleValue value = read_torch_file(test::golden_dir() / "io" / str("protocol", protocol, ".pt"));
    const auto& dict = std::get<PickleDict>(value.value);
    ASSERT_EQ(dict.size(), 3U);
    EXPECT_EQ(std::get<std::string>(dict[0].key), "weight");
    EXPECT_EQ(std::get<RawTensor>(dict[0].value.value).shape, (std::vector<std::int64_t>{2, 2}));
    EXPECT_EQ(std::get<std::int64_t>(dict[1].value.value), 7);
    const auto& numbers = std::get<PickleList>(dict[2].value.value);
    ASSERT_EQ(numbers.size(), 8U);
    EXPECT_EQ(std::get<double>(numbers[0].value), 1.5);
    EXPECT_EQ(std::get<std::int64_t>(numbers[1].value), -3);
    EXPECT_EQ(std::get<std::int64_t>(numbers[2].value), 70000);
    EXPECT_EQ(std::get<std::int64_t>(numbers[3].value), -(std::int64_t{1} << 40));
    EXPECT_TRUE(std::get<bool>(numbers[4].value));
    EXPECT_TRUE(numbers[5].is_none());
    EXPECT_TRUE(std::get<PickleList>(numbers[6].value).empty());
    EXPECT_EQ(std::get<PickleList>(numbers[7].value).size(), 4U);
  }
}

TEST(TorchPickle, ReadsPublishedCheckpoints) {
  const auto fixtures = test::golden_dir() / "fixtures";
  if (!std::filesystem::exists(fixtures)) GTEST_SKIP() << "no " << fixtures;
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fixtures)) {
    if (entry.path().extension() != ".pt" && entry.path().extension() != ".pth") continue;
    SCOPED_TRACE(entry.path());
    EXPECT_FALSE(flatten_tensors(read_torch_file(entry.path()), entry.path().string()).empty());
    ++files;
  }
  EXPECT_GT(files, 0);
}

TEST(TorchPickle, DottedNamesFollowTheNesting) {
  const auto tensors = flatten_tensors(read_torch_file(test::golden_dir() / "io/lora.pt"), "lora.pt");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.attention.q.A", "0.attention.q.B", "0.mlp.up.A", "0.mlp.up.C",
                                             "1.attention.q.A", "1.attention.q.B", "1.mlp.up.A", "1.mlp.up.C"}));
}

TEST(TorchPickle, FlattenRefusesDuplicatesAndOtherValues) {
  const PickleValue tensor{RawTensor{}};
  const PickleValue inner{PickleDict{{"b", tensor}}};
  const PickleValue duplicates{PickleDict{{"a.b", tensor}, {"a", inner}}};
  expect_fault<FormatError>("x.pt: two tensors are named \"a.b\"", [&] { flatten_tensors(duplicates, "x.pt"); });
  const PickleValue number{PickleDict{{"a", PickleValue{std::int64_t{1}}}}};
  expect_fault<FormatError>("x.pt: \"a\": expected a tensor", [&] { flatten_tensors(number, "x.pt"); });
}

TEST(TorchPickle, NamesOfTensorsAreBoundedTogether) {
  const PickleValue tensor{RawTensor{}};
  PickleDict many;
  for (std::int64_t i = 0; i < 100; ++i) many.push_back({i, tensor});
  const PickleValue value{PickleDict{{std::string(1 << 20, 'x'), PickleValue{std::move(many)}}}};
  expect_fault<FormatError>("x.pt: the tensors' names expand to more than", [&] { flatten_tensors(value, "x.pt"); });
}

TEST(TorchPickle, RefusesUnknownGlobalsByName) {
  expect_fault<FormatError>("\"__main__.Stranger\" was refused",
                            [] { read_torch_file(test::golden_dir() / "io/unknown_global.pt"); });
}

PickleValue read_content(std::string_view content) {
  const auto bytes = std::as_bytes(std::span(content));
  return read_torch_file(std::make_shared<const MappedFile>("x.pt", std::vector(bytes.begin(), bytes.end())));
}

TEST(TorchPickle, RefusesEveryTruncation) {
  for (const char* name : {"parameter.pt", "legacy_parameter.pt", "legacy_state_dict.pt"}) {
    const std::string whole = read_text_file(test::golden_dir() / "io" / name);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(read_content(whole.substr(0, size)), FormatError) << name << " " << size;
    }
  }
}

TEST(TorchPickle, FaultsOfTheFormBeforeZip) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.pt";
  const std::string whole = read_text_file(test::golden_dir() / "io/legacy_parameter.pt");
  const auto expect_refused = [&](std::string content, const std::string& part) {
    test::write_bytes(path, content);
    expect_fault<FormatError>(part, [&] { read_torch_file(path); });
  };
  const auto changed = [&](std::string_view from, std::string_view to, std::size_t begin = 0) {
    std::string content = whole;
    return content.replace(content.find(from, begin), from.size(), to);
  };
  expect_refused(whole + "x", "x.pt: storages: byte 56: bytes after the last storage");
  expect_refused(changed("M\xe9\x03", "M\xe8\x03"), "x.pt: not version 1001 of torch.save's old form");
  expect_refused(changed("little_endian", "middle_endian"), "byte order is not \"little\"");
  const std::size_t key = whole.rfind("X\x0e") + 5;
  ASSERT_EQ(whole.substr(key, 1).find_first_of("0123456789"), 0U);
  expect_refused(changed(whole.substr(key, 14), "12345678901234", key), "a storage that no tensor has");
  std::string count = whole;
  count[whole.size() - 56] = 13;
  expect_refused(count, "holds 13 elements, expected 12");
}

TEST(TorchPickle, SurvivesEveryFlippedByte) {
  const auto count_refused = [&](const char* name) {
    const std::string whole = read_text_file(test::golden_dir() / "io" / name);
    int refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const char flip : {'\x01', '\x80'}) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        try {
          for (const auto& [tensor_name, tensor] : flatten_tensors(read_content(damaged), "x.pt")) {
            EXPECT_EQ(test::content_of(tensor).size(), tensor.bytes);
          }
        } catch (const FormatError&) {
          ++refused;
        }
      }
    }
    return refused;
  };
  EXPECT_GT(count_refused("parameter.pt"), 300);
  EXPECT_GT(count_refused("legacy_parameter.pt"), 300);
}

}  // namespace
}  // namespace shine
