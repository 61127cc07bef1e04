#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/expect_fault.h"
#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using nlohmann::json;
using test::expect_fault;

TEST(JsonFile, KeepsValuesAndTheirTypes) {
  const json value =
      parse_json(R"({"a":[1,-2,2.5,true,null,"ü\n"],"b":{"c":{}},"d":[],"e":18446744073709551615})", "x");
  EXPECT_EQ(value, json::parse(R"({"a":[1,-2,2.5,true,null,"ü\n"],"b":{"c":{}},"d":[],"e":18446744073709551615})"));
  EXPECT_EQ(parse_json("3", "x"), json(3));
}

TEST(JsonFile, NumbersThatPythonWritesAreRead) {
  const json value = parse_json(R"({"a": NaN, "NaN": [Infinity, -Infinity,-1], "c": "NaN \"Infinity", "d": "N"})", "x");
  EXPECT_TRUE(std::isnan(value["a"].get<double>()));
  EXPECT_EQ(value["NaN"][0].get<double>(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(value["NaN"][1].get<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(value["NaN"][2], -1);
  EXPECT_EQ(value["c"], "NaN \"Infinity");
  EXPECT_EQ(value["d"], "N");
  EXPECT_TRUE(std::isnan(parse_json("NaN", "x").get<double>()));
  expect_fault<FormatError>("x: \"a\": expected a finite number, found nan",
                            [&] { get_double_or(value, "a", 1, "x"); });
  expect_fault<FormatError>("x: \"a\": expected an integer, found number", [&] { get_int(value, "a", "x"); });
}

struct BadText {
  const char* text;
  const char* fault;
};

TEST(JsonFile, FaultsNameLineAndColumn) {
  const std::vector<BadText> table = {
      {"", "x.json:1:1: "},
      {"{\"a\": 1,\n \"b\": tru}", "x.json:2:10: "},
      {"{\"a\": 1,\n \"a\": 2}", "x.json:2:4: duplicate key \"a\""},
      {"{\"b\":{\"a\":1},\n\"c\":{\"a\":1,\"a\":2}}", "x.json:2:14: duplicate key \"a\""},
      {"[1,2", "x.json:1:5: "},
      {"[1] 2", "x.json:1:5: "},
      {"[1,]", "x.json:1:4: "},
      {"[nan]", "x.json:1:"},
      {"[-NaN]", "x.json:1:"},
      {"[1NaN]", "x.json:1:"},
      {"[NaNa]", "x.json:1:"},
      {"[Infinity,\n -Infinit]", "x.json:2:"},
      {"[NaN, NaN, Na]", "x.json:1:"},
      {"{NaN: 1}", "x.json:1:4: a number where a key is expected"},
      {"{\"a\": 1, -Infinity: 1}", "x.json:1:18: a number where a key is expected"},
      {"[1e999]", "x.json:1:"},
      {"// a comment\n1", "x.json:1:1: "},
      {"[\"\xff\"]", "x.json:1:3: "},
  };
  for (const BadText& bad : table) {
    SCOPED_TRACE(bad.text);
    expect_fault<FormatError>(bad.fault, [&] { parse_json(bad.text, "x.json"); });
  }
  const std::string cut = std::string("{\"a\": 1}\n\0\0", 11);
  expect_fault<FormatError>("x.json:2:1: a zero byte", [&] { parse_json(cut, "x.json"); });
  expect_fault<FormatError>("nested", [] { parse_json(std::string(1'000'000, '['), "x"); });
  EXPECT_NO_THROW(parse_json(std::string(128, '[') + std::string(128, ']'), "x"));
  EXPECT_THROW(parse_json(std::string(129, '[') + std::string(129, ']'), "x"), FormatError);
}

TEST(JsonFile, FaultsAreOneLineWithoutTheFilesBytes) {
  try {
    parse_json("[" + std::string(100'000, 'x') + "\n\x01", "x.json");
    ADD_FAILURE();
  } catch (const FormatError& fault) {
    EXPECT_LT(std::string(fault.what()).size(), 200U);
    EXPECT_EQ(std::string(fault.what()).find('\n'), std::string::npos);
    EXPECT_EQ(std::string(fault.what()).find("json.exception"), std::string::npos) << fault.what();
  }
}

TEST(JsonFile, TheNumberOfValuesIsBounded) {
  EXPECT_NO_THROW(parse_json("[[], {}, 1]", "x", 4));
  expect_fault<FormatError>("x:1:14: more than 4 values", [] { parse_json("[[], {}, 1, 2]", "x", 4); });
}

TEST(JsonFile, ReadsFilesUpToABound) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.json";
  test::write_bytes(path, "{\"a\": 1}\n");
  EXPECT_EQ(read_json_file(path), (json{{"a", 1}}));
  expect_fault<FormatError>("at most 5 bytes", [&] { read_json_file(path, 5); });
  test::write_bytes(path, std::string_view("\xff\xfe{\0}\0", 6));
  expect_fault<FormatError>("x.json: UTF-16 by its byte order mark; JSON is UTF-8", [&] { read_json_file(path); });
  expect_fault<IoError>("absent.json", [&] { read_json_file(folder.path() / "absent.json"); });
  expect_fault<IoError>("regular file", [&] { read_json_file(folder.path()); });
}

TEST(JsonFile, MembersAreTyped) {
  const json object = json::parse(R"({"i":3,"d":2.5,"b":true,"s":"t","o":{},"a":[],"n":null,"u":9223372036854775808})");
  EXPECT_EQ(get_int(object, "i", "x"), 3);
  EXPECT_EQ(get_double(object, "i", "x"), 3.0);
  EXPECT_EQ(get_double(object, "d", "x"), 2.5);
  EXPECT_TRUE(get_bool(object, "b", "x"));
  EXPECT_EQ(get_string(object, "s", "x"), "t");
  EXPECT_TRUE(get_object(object, "o", "x").empty());
  EXPECT_TRUE(get_array(object, "a", "x").empty());
  EXPECT_EQ(get_int_or(object, "n", 7, "x"), 7);
  EXPECT_EQ(get_int_or(object, "z", 7, "x"), 7);
  EXPECT_EQ(get_int_or(object, "i", 7, "x"), 3);
  EXPECT_FALSE(has_value(object, "n", "x"));
  expect_fault<FormatError>("x: \"d\": expected an integer, found number", [&] { get_int(object, "d", "x"); });
  expect_fault<FormatError>("x: \"u\": expected an integer below 2^63", [&] { get_int(object, "u", "x"); });
  expect_fault<FormatError>("x: \"s\": expected true or false, found string", [&] { get_bool(object, "s", "x"); });
  expect_fault<FormatError>("x: \"b\": expected a number, found boolean", [&] { get_double_or(object, "b", 1, "x"); });
  expect_fault<FormatError>("x: key \"z\" is missing", [&] { get_string(object, "z", "x"); });
  expect_fault<FormatError>("x: expected an object, found array", [&] { get_int(object["a"], "z", "x"); });
}

std::vector<std::pair<std::size_t, json>> lines_of(const std::filesystem::path& path, std::size_t max = 1 << 20) {
  std::vector<std::pair<std::size_t, json>> lines;
  read_jsonl(
      path, [&](std::size_t line, json&& value) { lines.emplace_back(line, std::move(value)); }, TextForm::bytes, max);
  return lines;
}

TEST(JsonLines, NumbersLinesAndPassesOverBlankOnes) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "data.jsonl";
  test::write_bytes(path, "{\"a\":1}\n\n  \r\n[2]\r\n3");
  EXPECT_EQ(lines_of(path),
            (std::vector<std::pair<std::size_t, json>>{{1, {{"a", 1}}}, {4, json::array({2})}, {5, 3}}));
  test::write_bytes(path, "");
  EXPECT_TRUE(lines_of(path).empty());
}

TEST(JsonLines, PlainLinesComeUntilTheReaderHasEnough) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "data.jsonl";
  test::write_bytes(path, "{\xff\n\n two \nthree\n" + std::string(100, 'x'));
  std::vector<std::pair<std::size_t, std::string>> seen;
  const auto take_two = [&](std::size_t number, std::string_view line) {
    seen.emplace_back(number, line);
    return seen.size() < 2;
  };
  read_lines(path, take_two, TextForm::bytes, 50);
  EXPECT_EQ(seen, (std::vector<std::pair<std::size_t, std::string>>{{1, "{\xff"}, {3, " two "}}));
  const auto take_all = [](std::size_t, std::string_view) { return true; };
  expect_fault<FormatError>("data.jsonl:5: line over 50 bytes",
                            [&] { read_lines(path, take_all, TextForm::bytes, 50); });
}

TEST(JsonLines, ReadsLinesAcrossChunks) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "data.jsonl";
  const std::string long_text(3'000'000, 'y');
  test::write_bytes(path, "1\n\"" + long_text + "\"\n\"" + long_text + "\"\n4\n");
  const auto lines = lines_of(path, 4 << 20);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[1].second, json(long_text));
  EXPECT_EQ(lines[3], (std::pair<std::size_t, json>{4, 4}));
}

TEST(JsonLines, FaultsNameFileAndLine) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "data.jsonl";
  test::write_bytes(path, "1\n\n{\"a\":1,\"a\":2}\n");
  expect_fault<FormatError>("data.jsonl:3:10: duplicate key", [&] { lines_of(path); });
  test::write_bytes(path, "1\n2 3\n");
  expect_fault<FormatError>("data.jsonl:2:3: ", [&] { lines_of(path); });
  test::write_bytes(path, "1\n" + std::string(100, ' ') + "2\n");
  expect_fault<FormatError>("data.jsonl:2: line over 50 bytes", [&] { lines_of(path, 50); });
  expect_fault<IoError>("absent", [&] { lines_of(folder.path() / "absent"); });
}

}  // namespace
}  // namespace shine
