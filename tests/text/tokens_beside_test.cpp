// Ids equal those of transformers' AutoTokenizer where added tokens, flags or the vocabulary stand in several files
// (scripts/fixtures/make_tokens_beside.py).
#include "text/tokens_beside.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

json read_json(const std::filesystem::path& path) {
  return json::parse(std::ifstream(path));
}

json base_tokenizer() {
  return read_json(test::source_dir() / "configs" / "tiny-text" / "backbone" / "tokenizer.json");
}

class TokensBesideTest : public testing::Test {
 protected:
  const std::filesystem::path& path() const { return folder_.path(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path() / name) << text; }
  void write(const std::string& name, const json& value) const { write(name, value.dump()); }

  void fill(const json& item) const {
    json base = base_tokenizer();
    for (const auto& [name, content] : item["files"].items()) {
      if (name == "vocab.json") {
        write(name, base["model"]["vocab"]);
      } else if (content.is_string()) {
        write(name, content.get<std::string>());
      } else {
        write(name, content);
      }
    }
    if (item["change"].is_null()) return;
    base.update(item["change"]);
    write("tokenizer.json", base);
  }

  template <class Kind>
  std::string message() const {
    try {
      load_tokenizer(path());
    } catch (const Kind& fault) {
      return fault.what();
    }
    return {};
  }

  void write_vocabulary(const std::string& merges) const {
    write("vocab.json", base_tokenizer()["model"]["vocab"]);
    write("merges.txt", merges);
  }

 private:
  test::TemporaryFolder folder_;
};

TEST_F(TokensBesideTest, AreAddedAsAutoTokenizerAddsThem) {
  const json golden = read_json(test::golden_dir() / "tokenizer" / "tokens_beside.json");
  ASSERT_EQ(golden["cases"].size(), 28U);
  for (const json& item : golden["cases"]) {
    SCOPED_TRACE(item["name"].get<std::string>());
    for (const auto& file : std::filesystem::directory_iterator(path())) std::filesystem::remove(file);
    fill(item);
    const auto tokenizer = load_tokenizer(path());
    EXPECT_EQ(tokenizer->size(), item["size"]);
    for (std::size_t i = 0; i < golden["texts"].size(); ++i) {
      const auto text = golden["texts"][i].get<std::string>();
      EXPECT_EQ(tokenizer->encode(text).ids, item["ids"][i].get<Ids>()) << text;
    }
  }
}

TEST_F(TokensBesideTest, ATokenizerFileByItselfIsReadAlone) {
  write("tokenizer.json", base_tokenizer());
  write("tokenizer_config.json", json{{"additional_special_tokens", {"<think>"}}});
  EXPECT_EQ(load_tokenizer(path())->encode("<think>").ids, (Ids{768}));
  EXPECT_GT(load_tokenizer(path() / "tokenizer.json")->encode("<think>").ids.size(), 1U);
}

TEST_F(TokensBesideTest, WordsThatStayTextAreRefused) {
  write("tokenizer.json", base_tokenizer());
  write("tokenizer_config.json", json{{"split_special_tokens", true}});
  EXPECT_NE(message<UnsupportedError>().find("split_special_tokens"), std::string::npos);
}

TEST_F(TokensBesideTest, FaultsNameTheFileAndThePlace) {
  write("tokenizer.json", base_tokenizer());
  const auto reports = [&](const std::string& name, const json& content, const std::string& part) {
    write(name, content);
    const std::string text = message<FormatError>();
    EXPECT_NE(text.find(name), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
    std::filesystem::remove(path() / name);
  };
  const std::string config = "tokenizer_config.json";
  reports(config, json::array(), "expected an object, found array");
  reports(config, {{"eos_token", 3}}, "eos_token: expected a token, found number");
  reports(config, {{"eos_token", {{"special", true}}}}, "content");
  reports(config, {{"additional_special_tokens", "x"}}, "expected tokens, found string");
  reports(config, {{"additional_special_tokens", {std::string(1025, 'x')}}}, "1025 bytes");
  reports(config, {{"added_tokens_decoder", {{"x", {{"content", "y"}}}}}}, "\"x\" is not a token id");
  reports(config, {{"added_tokens_decoder", {{"770", {{"content", 1}}}}}}, "\"770\": \"content\"");
  reports(config, {{"added_tokens_decoder", {{"770", {{"content", "y"}, {"rstrip", 1}}}}}}, "rstrip");
  reports("added_tokens.json", {{"y", "770"}}, "expected an integer");
  reports("added_tokens.json", {{"y", -1}}, "has the id -1");
  reports("special_tokens_map.json", {{"pad_token", {1}}}, "pad_token: expected a token, found array");
}

TEST_F(TokensBesideTest, VocabularyFilesOfAnotherClassAreRefused) {
  write_vocabulary("#version: 0.2\n");
  EXPECT_TRUE(has_tokenizer(path()));
  EXPECT_NE(message<UnsupportedError>().find("tokenizer_class"), std::string::npos);
  write("tokenizer_config.json", json{{"tokenizer_class", "RobertaTokenizer"}});
  EXPECT_NE(message<UnsupportedError>().find("\"RobertaTokenizer\""), std::string::npos);
  std::filesystem::remove(path() / "merges.txt");
  EXPECT_FALSE(has_tokenizer(path()));
  EXPECT_NE(message<IoError>().find("merges.txt"), std::string::npos);
}

TEST_F(TokensBesideTest, FaultsOfMergesNameTheLine) {
  write("tokenizer_config.json", json{{"tokenizer_class", "Qwen2Tokenizer"}});
  write_vocabulary("#version: 0.2\nh e\na b c\n");
  EXPECT_NE(message<FormatError>().find("merges.txt:3: expected two tokens, found 3"), std::string::npos);
  write_vocabulary("h e\nQ Q\n");
  EXPECT_NE(message<FormatError>().find("merges.txt:2: \"QQ\" is not in the vocabulary"), std::string::npos);
}

TEST_F(TokensBesideTest, AHoleInTheVocabularyIsNamed) {
  json file = base_tokenizer();
  json& vocabulary = file["model"]["vocab"];
  std::string gone;
  for (const auto& [name, id] : vocabulary.items()) {
    if (id == 700) gone = name;
  }
  vocabulary.erase(gone);
  json kept = json::array();
  for (const json& merge : file["model"]["merges"]) {
    const auto left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
    if (left != gone && right != gone && left + right != gone) kept.push_back(merge);
  }
  file["model"]["merges"] = kept;
  write("tokenizer.json", file);
  const std::string text = message<FormatError>();
  EXPECT_NE(text.find("the vocabulary has 764 tokens, but ids up to 764"), std::string::npos) << text;
  file["added_tokens"] = json::array();  // nothing is to be numbered
  write("tokenizer.json", file);
  EXPECT_EQ(load_tokenizer(path())->size(), 765);
}

}  // namespace
}  // namespace shine
