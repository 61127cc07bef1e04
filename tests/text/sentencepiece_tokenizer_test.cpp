// Ids, offsets and decoded texts equal those of the package `sentencepiece` (scripts/fixtures/make_sentencepiece.py).
#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "shine/text/special_tokens.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;
using Spans = std::vector<std::vector<std::size_t>>;

std::filesystem::path folder() {
  return test::golden_dir() / "tokenizer";
}

json read_json(const std::string& name) {
  return json::parse(std::ifstream(folder() / name));
}

class GoldenSentencePiece : public testing::TestWithParam<const char*> {
 protected:
  SentencePieceTokenizer tokenizer{folder() / (std::string(GetParam()) + ".model")};
  std::vector<std::string> texts = read_json("sentencepiece_texts.json").get<std::vector<std::string>>();
  json golden = read_json(std::string(GetParam()) + ".model.golden.json");

  std::string stream(const Ids& ids) const {
    StreamDecoder decoder(tokenizer);
    std::string text;
    for (const std::int64_t id : ids) text += decoder.push(id);
    return text + decoder.finish();
  }
};

TEST_P(GoldenSentencePiece, Ids) {
  ASSERT_GT(texts.size(), 250U);
  EXPECT_EQ(tokenizer.size(), golden["size"]);
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(tokenizer.encode(texts[i]).ids, golden["ids"][i].get<Ids>()) << texts[i];
}

TEST_P(GoldenSentencePiece, Offsets) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Spans found;
    for (const TextSpan& span : tokenizer.encode(texts[i]).offsets) found.push_back({span.begin, span.end});
    EXPECT_EQ(found, golden["offsets"][i].get<Spans>()) << texts[i];
  }
}

TEST_P(GoldenSentencePiece, DecodedTexts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Ids ids = golden["ids"][i].get<Ids>();
    EXPECT_EQ(tokenizer.decode(ids), golden["decoded"][i]);
    EXPECT_EQ(stream(ids), golden["decoded"][i]);
  }
  for (std::size_t i = 0; i < golden["rows"].size(); ++i) {
    const Ids ids = golden["rows"][i].get<Ids>();
    EXPECT_EQ(tokenizer.decode(ids), golden["rows_decoded"][i]) << golden["rows"][i];
    EXPECT_EQ(stream(ids), golden["rows_decoded"][i]) << golden["rows"][i];
  }
}

TEST_P(GoldenSentencePiece, IdsAreTheSameFromSeveralThreads) {
  std::array<int, 4> faults{};
  std::vector<std::thread> threads;
  for (int& count : faults) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < texts.size(); ++i)
        count += tokenizer.encode(texts[i]).ids != golden["ids"][i].get<Ids>();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, (std::array<int, 4>{}));
}

TEST_P(GoldenSentencePiece, EveryPieceHasOneName) {
  for (std::int64_t id = 0; id < tokenizer.size(); ++id)
    EXPECT_EQ(tokenizer.token_to_id(tokenizer.id_to_token(id)), id);
  EXPECT_EQ(tokenizer.token_to_id("no such piece"), std::nullopt);
  EXPECT_THROW(tokenizer.id_to_token(tokenizer.size()), ConfigError);
  EXPECT_EQ(tokenizer.token_bytes(tokenizer.size()), "");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenSentencePiece,
                         testing::Values("unigram_rules", "unigram_bytes", "unigram_bare", "bpe_rules", "bpe_bytes",
                                         "bpe_bare"),
                         [](const auto& kind) { return std::string(kind.param); });

/// A folder as models come in: the model, and a configuration with added tokens.
class SentencePieceFolder : public testing::Test {
 protected:
  explicit SentencePieceFolder(const std::string& model = "bpe_bytes") {
    std::filesystem::copy_file(folder() / (model + ".model"), path() / "tokenizer.model");
  }
  const std::filesystem::path& path() const { return folder_.path(); }
  void write(const std::string& name, const std::string& content) const { folder_.write(name, content); }
  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(path()); }

  std::string message() const {
    return test::fault_of<Error>([&] { load(); });
  }

  // Ids 440 to 442 of a model of 440 pieces.
  static constexpr const char* kChat = R"({"added_tokens_decoder": {
    "442": {"content": "<|im_end|>", "special": true}, "440": {"content": "<|endoftext|>", "special": true},
    "441": {"content": "<|im_start|>", "special": true, "normalized": true}, "1": {"content": "<s>", "special": true}}})";

 private:
  test::TemporaryFolder folder_;
};

// As LlamaTokenizer does: names of special tokens make added tokens of pieces, and of what is no piece.
TEST_F(SentencePieceFolder, SpecialTokensByNameAreAddedTokens) {
  const auto before = load()->encode("a<unk>b").ids;
  EXPECT_EQ(std::count(before.begin(), before.end(), 0), 0);
  write("tokenizer_config.json",
        R"({"unk_token": {"__type": "AddedToken", "content": "<unk>"}, "pad_token": "<pad>"})");
  write("special_tokens_map.json",
        R"({"additional_special_tokens": ["<tool>", {"content": "<end>", "rstrip": true}]})");
  write("added_tokens.json", R"({"<tool>": 440, "<end>": 441})");
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->size(), 443);
  EXPECT_EQ(tokenizer->encode("<unk><tool><end> \n<pad>").ids, (Ids{0, 440, 441, 442}));
  EXPECT_TRUE(tokenizer->is_special(440));
  EXPECT_TRUE(tokenizer->is_special(442));
  EXPECT_EQ(tokenizer->decode(Ids{0, 442}), "<unk><pad>");
}

TEST_F(SentencePieceFolder, AddedTokensAreMatchedBeforeTheModel) {
  write("tokenizer_config.json", kChat);
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->size(), 443);
  const Ids plain = tokenizer->encode("the ferry").ids;
  Ids expected = plain;
  expected.push_back(442);
  expected.insert(expected.end(), plain.begin(), plain.end());
  const Encoding encoding = tokenizer->encode("the ferry<|im_end|>the ferry");
  EXPECT_EQ(encoding.ids, expected);  // each part with a space of its own before it
  EXPECT_EQ(encoding.offsets[plain.size()], (TextSpan{9, 19}));
  EXPECT_EQ(encoding.offsets.back().end, 28U);
  EXPECT_EQ(tokenizer->encode("<s>").ids, Ids{1});
  EXPECT_EQ(tokenizer->decode(Ids{1, 442}), "<s><|im_end|>");
  EXPECT_EQ(tokenizer->decode(Ids{1, 442}, true), "");
  EXPECT_TRUE(tokenizer->is_special(2)) << "a control symbol";
  EXPECT_EQ(tokenizer->decode(Ids{2}), "");
  for (const std::int64_t id : tokenizer->encode("a<|im_end|><s>b", SpecialTokens::escape).ids) {
    EXPECT_NE(id, 442);
    EXPECT_NE(id, 1);
  }
}

TEST_F(SentencePieceFolder, TokensAddedAtRunTimeLeaveTheModel) {
  const auto tokenizer = load();
  const std::int64_t piece = tokenizer->encode(" ferry").ids.back();
  std::vector<AddedToken> tokens(2);
  tokens[0].content = "<RECON>";
  tokens[1].content = tokenizer->id_to_token(piece);
  tokens[1].special = false;
  ASSERT_EQ(tokens[1].content.find("\u2581"), std::string::npos) << "a piece within a word";
  EXPECT_EQ(tokenizer->add_tokens(tokens), (Ids{440, piece}));
  EXPECT_EQ(tokenizer->add_tokens(tokens), (Ids{440, piece}));
  EXPECT_EQ(tokenizer->encode("<RECON>").ids, Ids{440});
  EXPECT_EQ(tokenizer->encode(tokens[1].content).ids, Ids{piece});
  for (const std::int64_t id : tokenizer->encode(" ferry", SpecialTokens::escape).ids) EXPECT_NE(id, piece);
  EXPECT_EQ(tokenizer->decode(Ids{piece}, true), tokens[1].content);
}

TEST_F(SentencePieceFolder, OldFilesNameAddedTokensOnTheirOwn) {
  write("added_tokens.json", R"({"<|im_end|>": 441, "<|im_start|>": 440})");
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->encode("<|im_start|><|im_end|>").ids, (Ids{440, 441}));
}

TEST_F(SentencePieceFolder, ATokenizerJsonGoesFirst) {
  std::filesystem::copy_file(folder() / "digits.json", path() / "tokenizer.json");
  EXPECT_NE(load()->size(), 440);
  std::filesystem::remove(path() / "tokenizer.json");
  EXPECT_TRUE(has_tokenizer(path()));
  EXPECT_EQ(load()->size(), 440);
  EXPECT_EQ(load_tokenizer(path() / "tokenizer.model")->size(), 440);
  std::filesystem::remove(path() / "tokenizer.model");
  EXPECT_FALSE(has_tokenizer(path()));
  EXPECT_NE(message().find("neither tokenizer.json nor tokenizer.model is there"), std::string::npos) << message();
}

TEST_F(SentencePieceFolder, BrokenAddedTokens) {
  for (const auto& [config, part] :
       {std::pair{R"({"added_tokens_decoder": {"441": {"content": "<a>"}}})", "without gaps"},
        std::pair{R"({"added_tokens_decoder": {"-1": {"content": "<a>"}}})", "\"-1\""},
        std::pair{R"({"added_tokens_decoder": {"0x": {"content": "<a>"}}})", "\"0x\""},
        std::pair{R"({"added_tokens_decoder": {"440": {"content": ""}}})", "is empty"},
        std::pair{R"({"added_tokens_decoder": {"440": {}}})", "content"},
        std::pair{R"({"added_tokens_decoder": [1]})", "added_tokens_decoder"},
        std::pair{R"({"added_tokens_decoder": {"7": {"content": "<a>"}}})", "without gaps"}}) {
    write("tokenizer_config.json", config);
    EXPECT_NE(message().find(part), std::string::npos) << config << ": " << message();
  }
}

/// In a conversation a word is the same token whatever precedes it, and an answer is labelled as a whole.
class SentencePieceChat : public SentencePieceFolder {
 protected:
  SentencePieceChat() : SentencePieceFolder("unigram_rules") {}
};

TEST_F(SentencePieceChat, AnAnswerIsTheTokenThatItIsInTheText) {
  write("added_tokens.json", R"({"<|endoftext|>": 150, "<|im_start|>": 151, "<|im_end|>": 152})");
  const auto tokenizer = load();
  const Ids word = tokenizer->encode("leaves").ids;
  EXPECT_EQ(word, Ids{tokenizer->token_to_id("\u2581leaves").value()});
  const std::vector<ChatMessage> messages = {{"user", "The ferry leaves"}, {"assistant", "leaves"}};
  const RenderedConversation conversation = tokenize_chat(*tokenizer, messages);
  Ids labels = conversation.labels;
  std::erase(labels, kIgnoredLabel);
  EXPECT_EQ(labels, (Ids{word[0], 152}));
  EXPECT_EQ(std::count(conversation.ids.begin(), conversation.ids.end(), word[0]), 2);
  Ids prompt = tokenize_prompt(*tokenizer, std::vector<ChatMessage>{messages[0]});
  prompt.insert(prompt.end(), {word[0], 152});
  EXPECT_EQ(prompt, conversation.ids) << "what is generated follows the prompt as in training";
}

class BrokenSentencePiece : public SentencePieceFolder {
 protected:
  void expect_fault(const std::string& model, const std::string& part) const {
    write("tokenizer.model", model);
    EXPECT_NE(message().find(part), std::string::npos) << message();
    EXPECT_NE(message().find("tokenizer.model"), std::string::npos) << message();
  }

  static std::string field(int number, int wire, const std::string& content) {
    return static_cast<char>(number << 3 | wire) + content;
  }
  static std::string bytes_field(int number, const std::string& content) {
    return field(number, 2, static_cast<char>(content.size()) + content);
  }
  static std::string piece(const std::string& text, char type, const std::string& score = std::string(4, '\0')) {
    return bytes_field(1, bytes_field(1, text) + field(2, 5, score) + field(3, 0, std::string(1, type)));
  }
};

TEST_F(BrokenSentencePiece, EveryFaultIsNamed) {
  const std::string unknown = piece("<unk>", 2);
  expect_fault("", "it holds no pieces");
  expect_fault(piece("a", 1), "no piece is of the type unknown");
  expect_fault(unknown + piece("<u>", 2), "both unknown");
  expect_fault(unknown + piece("a", 1) + piece("a", 1), "is there twice");
  expect_fault(unknown + piece("", 1), "piece 1: it is empty");
  expect_fault(unknown + piece("\xff", 1), "not valid UTF-8");
  expect_fault(unknown + piece("a", 7), "its type is 7");
  expect_fault(unknown + piece("a", 1, std::string("\0\0\x80\x7f", 4)), "its score is not finite");
  expect_fault(unknown + piece("<0x41>", 6), "byte_fallback is not set");
  expect_fault(unknown + piece("<0x4g>", 6), "expected <0x00> to <0xFF>");
  expect_fault(unknown + bytes_field(2, bytes_field(3, "x")), "another type");
  expect_fault(unknown + bytes_field(2, std::string("\x98\x02\x01")), "not every byte has a piece");
  expect_fault(unknown + bytes_field(2, std::string("\x18\x03")), "word models of sentencepiece are not supported");
  expect_fault(unknown + bytes_field(2, std::string("\xc0\x01\x01")), "white space as suffix");
  expect_fault(unknown + bytes_field(3, std::string("\x28\0", 2)), "escape_whitespaces");
  expect_fault(unknown + bytes_field(3, bytes_field(2, "abcdefgh")), "precompiled_charsmap");
  expect_fault(unknown + bytes_field(3, bytes_field(2, std::string("\4\0\0\0\0\0\0\0abc", 11))), "has no end");
  expect_fault(unknown + bytes_field(5, bytes_field(2, "x")), "denormalizer");
  expect_fault(unknown + field(1, 3, ""), "wire type 3");
  expect_fault(unknown + field(1, 2, "\x7f"), "127 bytes, 0 are left");
  expect_fault(unknown + std::string(11, '\xff'), "more than 64 bits");
}

TEST_F(BrokenSentencePiece, CutAnywhereAModelIsAFaultOrAModel) {
  const std::string model = read_text_file(folder() / "unigram_rules.model");
  int faults = 0;
  for (std::size_t size = 0; size < model.size(); size += 3) {
    write("tokenizer.model", model.substr(0, size));
    try {
      const auto tokenizer = load();
      EXPECT_EQ(tokenizer->encode("the ferry").ids, tokenizer->encode("the ferry").ids);
    } catch (const FormatError&) {
      ++faults;
    }
  }
  EXPECT_GT(faults, 1000);
}

TEST(SentencePieceTime, LongTextsTakeNoLonger) {
  for (const char* name : {"unigram_rules.model", "bpe_bytes.model"}) {
    const SentencePieceTokenizer tokenizer(folder() / name);
    EXPECT_GT(tokenizer.encode(std::string(300'000, 'e')).ids.size(), 1000U);
    EXPECT_EQ(tokenizer.encode(std::string(300'000, '\xff')).offsets.back().end, 300'000U);
  }
}

}  // namespace
}  // namespace shine
