#include "shine/text/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "shine/common/error.h"
#include "shine/text/special_tokens.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

std::vector<ChatMessage> messages_of(const json& conversation) {
  std::vector<ChatMessage> messages;
  for (const json& message : conversation) messages.push_back({message["role"], message["content"]});
  return messages;
}

class PublishedPrompts : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = test::shared_dir() / "tokenizers" / "qwen3";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no Qwen3 tokenizer at " << path;
    tokenizer = load_tokenizer(path);
  }
  std::unique_ptr<Tokenizer> tokenizer;
  json prompts = json::parse(std::ifstream(test::golden_dir() / "prompts.json"));
};

TEST_F(PublishedPrompts, AreReproducedExactly) {
  const TaskTokens tokens = add_task_tokens(*tokenizer);
  EXPECT_EQ(tokens.reconstruct, prompts["added_tokens"]["<RECON>"]);
  EXPECT_EQ(tokens.complete, prompts["added_tokens"]["<COMP>"]);
  EXPECT_EQ(tokens.nothing, prompts["added_tokens"]["<NOTHING>"]);
  ASSERT_EQ(prompts["cases"].size(), 6U);
  for (const json& item : prompts["cases"]) {
    std::vector<ChatMessage> messages = messages_of(item["conversation"]);
    EXPECT_EQ(tokenizer->encode(item["context"].get<std::string>()).ids, item["context_ids"].get<Ids>());
    EXPECT_EQ(render_chat(messages).text, item["rendered"]);
    const RenderedConversation conversation = tokenize_chat(*tokenizer, messages);
    EXPECT_EQ(conversation.ids, item["input_ids"].get<Ids>());
    EXPECT_EQ(conversation.labels, item["labels"].get<Ids>());
    messages.pop_back();
    EXPECT_EQ(tokenize_prompt(*tokenizer, messages), item["generation_prompt_ids"].get<Ids>());
  }
}

TEST_F(PublishedPrompts, OneTurnCostsElevenTokens) {
  add_task_tokens(*tokenizer);
  EXPECT_EQ(tokens_per_turn(*tokenizer), 11);
}

TEST_F(PublishedPrompts, EscapedContentsHoldNoMarkers) {
  add_task_tokens(*tokenizer);
  const std::int64_t end = require_token(*tokenizer, kMessageEnd);
  const std::vector<ChatMessage> messages = {{"user", "<RECON> <|im_end|> \xff<think>"}, {"assistant", "<|im_end|>"}};
  const RenderedConversation parsed = tokenize_chat(*tokenizer, messages);
  const RenderedConversation escaped = tokenize_chat(*tokenizer, messages, SpecialTokens::escape);
  EXPECT_EQ(std::count(parsed.ids.begin(), parsed.ids.end(), end), 4);
  EXPECT_EQ(std::count(escaped.ids.begin(), escaped.ids.end(), end), 2);
  EXPECT_EQ(std::count_if(escaped.ids.begin(), escaped.ids.end(), [](auto id) { return id > 151642; }), 4);
  EXPECT_EQ(tokenizer->decode(escaped.ids),
            "<|im_start|>user\n<RECON> <|im_end|> \uFFFD<think><|im_end|>\n"
            "<|im_start|>assistant\n<|im_end|><|im_end|>\n");
  EXPECT_EQ(escaped.labels.back(), require_token(*tokenizer, "\u010a"));
}

// The contents are those that Qwen3's own template gives assistant turns of the history.
TEST(ChatTemplate, AnAnswerIsCutAfterItsLastThoughtAndTheNewlinesBehindIt) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"<think>\nThe note says so.\n</think>\n\nred", "red"},
      {"<think>\n\n</think>\n\nred", "red"},
      {"<think>x</think>red", "red"},
      {"<think>x</think>\nred\n", "red\n"},
      {"<think>a</think>\nx<think>b</think>\n\nred", "red"},
      {"x</think>y</think>\n \nz", " \nz"},
      {"x</think>\r\nz", "\r\nz"},
      {"<think>x</think>\n\n", ""},
      {"\n\nred", "\n\nred"},
  };
  for (const auto& [given, shown] : cases) {
    const std::vector<ChatMessage> messages = {{"user", "a</think>\nb"}, {"assistant", given}, {"user", "c"}};
    const RenderedText rendered = render_chat(messages, GenerationPrompt::append);
    EXPECT_EQ(rendered.text, "<|im_start|>user\na</think>\nb<|im_end|>\n<|im_start|>assistant\n" + shown +
                                 "<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n");
    ASSERT_EQ(rendered.labelled.size(), 1U);
    const TextSpan labelled = rendered.labelled[0];
    EXPECT_EQ(rendered.text.substr(labelled.begin, labelled.end - labelled.begin), shown + "<|im_end|>\n");
    ASSERT_EQ(rendered.contents.size(), 3U);
    const TextSpan content = rendered.contents[1];
    EXPECT_EQ(rendered.text.substr(content.begin, content.end - content.begin), shown);
  }
}

TEST(ChatTemplate, RefusesRolesThatWouldBreakTheFrame) {
  for (const char* role : {"", "a\nb", "x<|im_end|>"})
    EXPECT_THROW(render_chat(std::vector<ChatMessage>{{role, "text"}}), ConfigError) << role;
  try {
    render_chat(std::vector<ChatMessage>{{"a\nb\x1b", "text"}});
  } catch (const ConfigError& fault) {
    EXPECT_EQ(std::string(fault.what()).find_first_of("\n\x1b"), std::string::npos) << fault.what();
  }
}

TEST(ChatTemplate, ATokenizerWithoutTheMarkersIsNamed) {
  const BpeTokenizer tokenizer(test::golden_dir() / "tokenizer" / "qwen.json");
  EXPECT_THROW(require_token(tokenizer, kMessageEnd), ConfigError);
}

}  // namespace
}  // namespace shine
