#include "io/torch_format/torch_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <limits>

#include "io/expect_fault.h"
#include "io/files/text_file.h"
#include "io/torch_file_bytes.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using test::expect_fault;

PickleValue tensor_of(const std::string& bytes, std::vector<std::int64_t> shape, DType dtype) {
  const auto owner = std::make_shared<std::string>(bytes);
  return {RawTensor{dtype, std::move(shape), reinterpret_cast<const std::byte*>(owner->data()), bytes.size(), owner}};
}

class TorchWriter : public testing::Test {
 protected:
  /// The value as a file, read again.
  PickleValue written(const PickleValue& value) {
    write_torch_file(path_, value);
    return read_torch_file(path_);
  }

  std::string left_behind() const {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      names += entry.path().filename().string() + ' ';
    }
    return names;
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "x.pt";
};

TEST_F(TorchWriter, WritesTheBytesThatTorchSaveWrites) {
  for (const char* name : {"dtypes", "parameter", "shapes", "lora", "protocol2"}) {
    SCOPED_TRACE(name);
    const auto golden = test::golden_dir() / "io" / str(name, ".pt");
    const auto copy = folder_.path() / str(name, ".pt");
    write_torch_file(copy, read_torch_file(golden));
    EXPECT_EQ(test::without_serialization_id(read_text_file(copy)),
              test::without_serialization_id(read_text_file(golden)));
  }
}

TEST_F(TorchWriter, GathersViewsIntoStoragesOfTheirOwn) {
  const auto golden = test::golden_dir() / "io/views.pt";
  const auto before = flatten_tensors(read_torch_file(golden), "views");
  const auto after = flatten_tensors(written(read_torch_file(golden)), "x");
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first);
    test::expect_equal(after[i].second, before[i].second, before[i].first);
  }
}

TEST_F(TorchWriter, KeepsTypesOrderAndNumbers) {
  const PickleList numbers = {{std::int64_t{0}},
                              {std::int64_t{255}},
                              {std::int64_t{-1}},
                              {std::int64_t{65536}},
                              {std::int64_t{1} << 31},
                              {-(std::int64_t{1} << 31) - 1},
                              {std::numeric_limits<std::int64_t>::max()},
                              {std::numeric_limits<std::int64_t>::min()},
                              {0.1},
                              {true},
                              {},
                              {"x"}};
  PickleValue trained = tensor_of("\1\2\3\4", {2, 2}, DType::int8);
  trained.requires_grad = true;
  PickleValue frozen_parameter = tensor_of("", {0, 3}, DType::float32);
  frozen_parameter.type = PickleType::parameter;
  const PickleDict dict = {{"z", {numbers}},
                           {std::int64_t{-7}, {numbers, PickleType::tuple}},
                           {"", {PickleDict{{"a", trained}}, PickleType::ordered_dict}},
                           {"p", frozen_parameter}};
  const PickleValue read = written({dict});
  const auto& again = std::get<PickleDict>(read.value);
  ASSERT_EQ(again.size(), dict.size());
  for (std::size_t i = 0; i < dict.size(); ++i) {
    EXPECT_EQ(again[i].key, dict[i].key);
    EXPECT_EQ(again[i].value.type, dict[i].value.type);
  }
  const auto& list = std::get<PickleList>(again[0].value.value);
  ASSERT_EQ(list.size(), numbers.size());
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(std::get<std::int64_t>(list[i].value), std::get<std::int64_t>(numbers[i].value));
  }
  EXPECT_EQ(std::get<double>(list[8].value), 0.1);
  EXPECT_TRUE(std::get<bool>(list[9].value));
  EXPECT_TRUE(list[10].is_none());
  const PickleValue& tensor = std::get<PickleDict>(again[2].value.value)[0].value;
  EXPECT_TRUE(tensor.requires_grad);
  EXPECT_EQ(test::content_of(std::get<RawTensor>(tensor.value)), "\1\2\3\4");
  EXPECT_FALSE(again[3].value.requires_grad);
  EXPECT_EQ(std::get<RawTensor>(again[3].value.value).shape, (std::vector<std::int64_t>{0, 3}));
}

TEST_F(TorchWriter, ReplacesTheFileItReads) {
  write_torch_file(path_, tensor_of("abcd", {4}, DType::uint8));
  write_torch_file(path_, {PickleDict{{"inner", read_torch_file(path_)}}});
  const auto tensors = flatten_tensors(read_torch_file(path_), "x.pt");
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(test::content_of(tensors[0].second), "abcd");
}

TEST_F(TorchWriter, RefusesWhatNoReaderWouldTake) {
  expect_fault<FormatError>("the key \"a\" twice", [&] { written({PickleDict{{"a", {true}}, {"a", {true}}}}); });
  expect_fault<FormatError>("3 bytes, not what its shape [2]", [&] { written(tensor_of("abc", {2}, DType::int16)); });
  expect_fault<FormatError>("shape [-1]", [&] { written(tensor_of("", {-1}, DType::int16)); });
  expect_fault<FormatError>("not valid UTF-8", [&] { written({"\xff"}); });
  expect_fault<FormatError>("not valid UTF-8", [&] { written({PickleDict{{"\xff", {true}}}}); });
  PickleValue deep;
  for (int i = 0; i < 64; ++i) deep = {PickleList{deep}};
  expect_fault<FormatError>("64 nested", [&] { written(deep); });
  expect_fault<IoError>("/nowhere/x.pt: cannot create", [&] { write_torch_file("/nowhere/x.pt", {}); });
  EXPECT_EQ(left_behind(), "");
}

TEST_F(TorchWriter, AFullDiskLeavesNothingBehind) {
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  rlimit small = limit;
  small.rlim_cur = 10'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_fault<IoError>("x.pt: cannot write",
                        [&] { write_torch_file(path_, tensor_of(std::string(20'000, 'x'), {20'000}, DType::uint8)); });
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, previous);
  EXPECT_EQ(left_behind(), "");
}

}  // namespace
}  // namespace shine
