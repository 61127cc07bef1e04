#include "text/bpe/bpe_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

std::filesystem::path qwen_like() {
  return test::golden_dir() / "tokenizer" / "qwen.json";
}

// Loads the Qwen-like tokenizer after a change of its file and returns the error's message.
template <class Kind>
std::string error_after(const std::function<void(json&)>& change) {
  json file = json::parse(std::ifstream(qwen_like()));
  change(file);
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "tokenizer.json") << file;
  try {
    const BpeTokenizer tokenizer(folder.path());
  } catch (const Error& error) {
    const bool expected = dynamic_cast<const Kind*>(&error) != nullptr;
    return str(expected ? "" : "another kind of error: ", error.what());
  }
  return "no error";
}

TEST(BpeTokenizer, RefusesWhatItCannotDoAndNamesIt) {
  const auto refuses = [](const std::string& part, const std::function<void(json&)>& change) {
    const std::string message = error_after<UnsupportedError>(change);
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  };
  const auto split = [](const char* pattern) {
    return [pattern](json& file) { file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern; };
  };
  refuses("WordPiece", [](json& file) { file["model"]["type"] = "WordPiece"; });
  refuses("NFKC", [](json& file) { file["normalizer"] = {{"type", "NFKC"}}; });
  refuses("Metaspace", [](json& file) { file["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Metaspace"}}; });
  refuses("ByteLevel", [](json& file) { file["pre_tokenizer"]["pretokenizers"].erase(1); });
  refuses("ByteLevel", [](json& file) { file["pre_tokenizer"] = nullptr; });
  refuses("byte_fallback", [](json& file) { file["model"]["byte_fallback"] = true; });
  refuses("dropout", [](json& file) { file["model"]["dropout"] = 0.1; });
  refuses("end_of_word_suffix", [](json& file) { file["model"]["end_of_word_suffix"] = "</w>"; });
  refuses("Custom", [](json& file) { file["post_processor"] = {{"type", "Custom"}}; });
  refuses("WordPiece", [](json& file) { file["decoder"] = {{"type", "WordPiece"}}; });
  refuses("\\b", split("\\bx"));
  refuses("nested class", split("[a[b]]"));
  refuses("intersection", split("[a-z&&b]"));
  refuses("(?m", split("(?m:a.b)"));
  for (const char* pattern : {"a(?1)", "(?-1)", "(?(1)a)", "(?|a)", "(?P<n>a)", "(?i", "(*ACCEPT)", "(*UTF)a"}) {
    refuses("which this program does not support", split(pattern));
  }
  refuses("cannot compile", split("(a"));
  refuses("lower bound", split("a{,3}"));
  refuses("counted repetition", split("a{2}+"));
  refuses("counted repetition", split("a{1,2}+"));
  refuses("counted repetition", split("xa{2}?"));
  refuses("without }", split("\\p{L"));
  refuses("script=Han", split("\\p{script=Han}"));
  refuses("comments", split("(?x)a # (\nb"));
  refuses("(?#", split("a(?#\\))"));
  refuses("empty split pattern", split(""));
  refuses("more than 64 parts", [](json& file) {
    json& parts = file["pre_tokenizer"]["pretokenizers"];
    for (int i = 0; i < 64; ++i) parts.insert(parts.begin(), parts[0]);
  });
}

TEST(BpeTokenizer, NamesFaultsOfTheFile) {
  const auto reports = [](const std::string& part, const std::function<void(json&)>& change) {
    const std::string message = error_after<FormatError>(change);
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find("another kind"), std::string::npos) << message;
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  };
  reports("model", [](json& file) { file.erase("model"); });
  reports("vocab", [](json& file) { file["model"]["vocab"] = 3; });
  reports("merges[2]", [](json& file) { file["model"]["merges"][2] = {"a"}; });
  reports("merges[1]", [](json& file) { file["model"]["merges"][1] = "a b c"; });
  reports("not in the vocabulary", [](json& file) { file["model"]["merges"][0] = {"Q", "Q"}; });
  reports("unk_token", [](json& file) {
    file["model"]["unk_token"] = "<unk>";
    file["model"]["vocab"]["beside"] = file["model"]["vocab"]["~"];
    file["model"]["vocab"].erase("~");
  });
  reports("two tokens have the id 1", [](json& file) { file["model"]["vocab"]["!"] = 1; });
  reports("out of range", [](json& file) { file["model"]["vocab"]["!"] = -1; });
  reports("out of range", [](json& file) { file["model"]["vocab"]["!"] = 1LL << 40; });
  reports("ids up to", [](json& file) { file["model"]["vocab"]["!"] = 1 << 30; });
  reports("no integer", [](json& file) { file["model"]["vocab"]["!"] = "x"; });
  reports("added_tokens[0]", [](json& file) { file["added_tokens"][0]["content"] = ""; });
  reports("its place gives it 420", [](json& file) { file["added_tokens"][0]["id"] = 900; });
  reports("1025 bytes", [](json& file) { file["added_tokens"][0]["content"] = std::string(1025, 'x'); });
  reports("bytes of added tokens", [](json& file) {
    for (int i = 0; i < 5000; ++i) {
      file["added_tokens"].push_back({{"content", str(i, std::string(1000, 'x'))}, {"id", 1000 + i}});
    }
  });
  reports("behavior", [](json& file) { file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Odd"; });
}

// As in `tokenizers`, which looks the token up when it meets a byte without one.
TEST(BpeTokenizer, AnUnknownTokenThatIsNeverNeededMayBeMissing) {
  const BpeTokenizer plain(qwen_like());
  for (const char* name : {"<unk>", "", "<|sep|>"}) {
    json file = json::parse(std::ifstream(qwen_like()));
    file["model"]["unk_token"] = name;
    const test::TemporaryFolder folder;
    std::ofstream(folder.path() / "tokenizer.json") << file;
    const BpeTokenizer tokenizer(folder.path());
    for (const char* text : {"Hello world", "na\u00efve \u65e5\u672c \U0001F600 \xff", "<|sep|>user\nhi<|a|>\n"})
      EXPECT_EQ(tokenizer.encode(text).ids, plain.encode(text).ids) << name;
  }
}

TEST(BpeTokenizer, FaultsAreOneShortLineWhateverTheFileHolds) {
  const std::string wild = "\n\x1b[2J" + std::string(100'000, 'x');
  const auto is_short_line = [&](const std::string& message) {
    EXPECT_NE(message, "no error");
    EXPECT_LT(message.size(), 1000U);
    EXPECT_EQ(message.find_first_of("\n\x1b"), std::string::npos) << message;
  };
  const auto shows = [&](const std::function<void(json&)>& change) { is_short_line(error_after<Error>(change)); };
  shows([&](json& file) { file["model"]["type"] = wild; });
  shows([&](json& file) { file["normalizer"] = {{"type", wild}}; });
  shows([&](json& file) { file["decoder"] = {{"type", wild}}; });
  shows([&](json& file) { file["post_processor"] = {{"type", wild}}; });
  shows([&](json& file) {
    file["model"]["unk_token"] = wild;
    file["model"]["vocab"].erase("~");
  });
  shows([&](json& file) { file["model"]["merges"][0] = {wild, wild}; });
  shows([&](json& file) { file["model"]["vocab"][wild] = "x"; });
  shows([&](json& file) { file["added_tokens"][0] = {{"content", wild}, {"id", 0}}; });
  for (const char* key : {"type", "behavior"}) {
    shows([&](json& file) { file["pre_tokenizer"]["pretokenizers"][0][key] = wild; });
  }
  for (const std::string& pattern : {wild + "(", wild + "\\q"}) {
    shows([&](json& file) { file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern; });
  }
}

TEST(BpeTokenizer, MissingFileIsAnIoError) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(load_tokenizer(folder.path()), IoError);
}

TEST(BpeTokenizer, MegabytesWithoutABreakAreNoTrouble) {
  const BpeTokenizer tokenizer(qwen_like());
  constexpr std::size_t length = 1 << 20;
  for (const std::string unit : {"a", " ", "e\u0301", "\u0301\u0323", "\xff", "<", " \n", "ab'"}) {
    std::string text;
    while (text.size() < length) text += unit;
    const auto start = std::chrono::steady_clock::now();
    const Encoding encoding = tokenizer.encode(text);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 60) << unit;
    EXPECT_EQ(encoding.offsets.back().end, text.size());
  }
}

TEST(BpeTokenizer, DecodingUnknownIds) {
  const BpeTokenizer tokenizer(qwen_like());
  const Ids beyond = {tokenizer.size(), std::int64_t{1} << 40};
  EXPECT_EQ(tokenizer.decode(beyond), "");
  EXPECT_THROW(tokenizer.decode(Ids{-1}), ConfigError);
  EXPECT_THROW(tokenizer.id_to_token(tokenizer.size()), ConfigError);
  EXPECT_FALSE(tokenizer.token_to_id("<none>"));
}

TEST(BpeTokenizer, OffsetsCoverTheCharactersBehindNormalisation) {
  const BpeTokenizer tokenizer(qwen_like());
  const std::string text = "x e\u0301 \xff\u1100\u1161 y";
  const Encoding encoding = tokenizer.encode(text);
  std::size_t reached = 0;
  for (const TextSpan& span : encoding.offsets) {
    EXPECT_LE(span.begin, reached);
    reached = std::max(reached, span.end);
  }
  EXPECT_EQ(reached, text.size());
  EXPECT_EQ(tokenizer.decode(encoding.ids), "x \u00e9 \uFFFD\uAC00 y");
}

TEST(StreamDecoder, HoldsBackUnfinishedCharacters) {
  const BpeTokenizer tokenizer(test::golden_dir() / "tokenizer" / "digits.json");
  const auto byte = [&](const char* spelled) { return tokenizer.token_to_id(spelled).value(); };
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(byte("\u00f0")), "");  // F0 9F 99 82
  EXPECT_EQ(decoder.push(byte("\u0141")), "");
  EXPECT_EQ(decoder.push(byte("\u013b")), "");
  EXPECT_EQ(decoder.push(byte("\u0124")), "\U0001f642");
  EXPECT_EQ(decoder.push(byte("\u00e3")), "");
  EXPECT_EQ(decoder.push(byte("a")), "\uFFFDa");
  EXPECT_EQ(decoder.push(byte("\u00e3")), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

}  // namespace
}  // namespace shine
