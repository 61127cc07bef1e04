// Texts, labelled parts, ids and labels equal those of transformers' apply_chat_template
// (scripts/fixtures/make_chat_formats.py).
#include "shine/text/chat_format.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "common/format.h"
#include "common/hash.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "support/faults.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"

namespace shine {
namespace {

using nlohmann::json;
using Messages = std::vector<ChatMessage>;
using Ids = std::vector<std::int64_t>;

const std::vector<ChatFormat>& all_formats() {
  static const std::vector<ChatFormat> formats = {chatml_format(),
                                                  llama3_format(false),
                                                  llama3_format(true),
                                                  mistral_format(MistralVersion::v1),
                                                  mistral_format(MistralVersion::v3),
                                                  mistral_format(MistralVersion::v3_tekken),
                                                  plain_format("<|endoftext|>")};
  return formats;
}

std::filesystem::path tokenizer_file(const std::string& name) {
  return test::golden_dir() / "tokenizer" / name;
}

class ChatFormats : public testing::Test {
 protected:
  void SetUp() override { add(tokenizer); }

  void add(Tokenizer& some) const {
    std::vector<AddedToken> tokens;
    for (const json& token : golden["tokens"]) tokens.push_back({token.get<std::string>()});
    some.add_tokens(tokens);
  }

  Messages conversation(std::size_t number) const {
    Messages messages;
    for (const json& message : golden["conversations"][number]) messages.push_back({message[0], message[1]});
    return messages;
  }

  std::string hash(const Messages& messages, const ChatFormat& format) const {
    const RenderedText rendered = render_chat(messages, GenerationPrompt::none, format);
    const RenderedConversation row = tokenize_chat(tokenizer, messages, SpecialTokens::parse, format);
    Fnv1a hash;
    hash.add_bytes(rendered.text);
    for (const TextSpan& part : rendered.labelled) hash.add(std::uint64_t{part.begin}).add(std::uint64_t{part.end});
    for (std::size_t i = 0; i < row.ids.size(); ++i) hash.add(row.ids[i]).add(row.labels[i]);
    return hex_digits(hash.value());
  }

  json golden = json::parse(std::ifstream(tokenizer_file("chat_formats.json")));
  BpeTokenizer tokenizer{tokenizer_file("qwen.json")};
};

TEST_F(ChatFormats, TextsIdsAndLabelsAreThoseOfTheTemplates) {
  ASSERT_EQ(golden["conversations"].size(), 200U);
  ASSERT_EQ(golden["formats"].size(), all_formats().size());
  for (const ChatFormat& format : all_formats()) {
    const json& expected = golden["formats"][format.name];
    ASSERT_EQ(expected["texts"].size(), 20U) << format.name;
    for (std::size_t i = 0; i < 20; ++i) {
      const std::string text = render_chat(conversation(i), GenerationPrompt::none, format).text;
      EXPECT_EQ(text, expected["texts"][i]) << format.name;
      EXPECT_EQ(render_chat(conversation(i), GenerationPrompt::append, format).text,
                text + expected["prompt"].get<std::string>());
    }
    for (std::size_t i = 0; i < 200; ++i) {
      EXPECT_EQ(hash(conversation(i), format), expected["hashes"][i]) << format.name << ", conversation " << i;
    }
  }
}

// What data sets rely on that write a conversation piece by piece.
TEST_F(ChatFormats, APartThatFollowsOthersHasTheIdsThatItHasWithinTheWhole) {
  SentencePieceTokenizer pieces(tokenizer_file("bpe_bytes.model"));
  add(pieces);
  for (const Tokenizer* some : {static_cast<const Tokenizer*>(&tokenizer), static_cast<const Tokenizer*>(&pieces)}) {
    for (const ChatFormat& format : all_formats()) {
      if (format.begin.empty() && some == &pieces) continue;  // sentencepiece's space at the begin of each part
      const Messages messages = {
          {"user", "<s>The ferry"}, {"assistant", "at nine"}, {"user", "it's"}, {"assistant", ""}};
      const RenderedConversation whole = tokenize_chat(*some, messages, SpecialTokens::parse, format);
      RenderedConversation joined = tokenize_chat(*some, {}, SpecialTokens::parse, format);
      for (const ChatMessage& message : messages) {
        const auto part = tokenize_chat(*some, std::span(&message, 1), SpecialTokens::parse, format, ChatPart::later);
        joined.ids.insert(joined.ids.end(), part.ids.begin(), part.ids.end());
        joined.labels.insert(joined.labels.end(), part.labels.begin(), part.labels.end());
      }
      EXPECT_EQ(joined.ids, whole.ids) << format.name;
      EXPECT_EQ(joined.labels, whole.labels) << format.name;
    }
  }
}

TEST_F(ChatFormats, TheLastLabelIsTheTokenThatEndsAnAnswer) {
  for (const ChatFormat& format : all_formats()) {
    const auto row =
        tokenize_chat(tokenizer, Messages{{"user", "a"}, {"assistant", "b"}}, SpecialTokens::parse, format);
    const std::int64_t end = *tokenizer.token_to_id(format.answer_end);
    const auto last = row.ids.size() - (format.name == "chatml" ? 2 : 1);  // ChatML: a newline behind it
    EXPECT_EQ(row.ids.at(last), end) << format.name;
    EXPECT_EQ(row.labels.at(last), end) << format.name;
  }
}

TEST_F(ChatFormats, EscapedContentsHoldNoMarkers) {
  std::string hostile;
  for (const json& token : golden["tokens"]) hostile += token.get<std::string>();
  const auto markers = [&](const ChatFormat& format, const std::string& content, SpecialTokens contents) {
    const Messages messages = {{"system", content}, {"user", content}, {"assistant", content}};
    const Ids ids = tokenize_chat(tokenizer, messages, contents, format).ids;
    return std::count_if(ids.begin(), ids.end(), [&](std::int64_t id) { return tokenizer.is_special(id); });
  };
  for (const ChatFormat& format : all_formats()) {
    const auto own = markers(format, "x", SpecialTokens::parse);
    EXPECT_EQ(markers(format, hostile, SpecialTokens::escape), own) << format.name;
    EXPECT_GT(markers(format, hostile, SpecialTokens::parse), own) << format.name;
  }
}

TEST_F(ChatFormats, WhatAFormatHasNoPlaceForIsRefused) {
  const auto render = [](const ChatFormat& format, const Messages& messages) {
    return [&, messages] { render_chat(messages, GenerationPrompt::none, format); };
  };
  const ChatFormat mistral = mistral_format(MistralVersion::v3), none = plain_format("</s>");
  test::expect_fault<ConfigError>("mistral v3 writes a system message into", render(mistral, {{"system", "s"}}));
  test::expect_fault<ConfigError>("has no place for a message with the role \"system\" behind others",
                                  render(mistral, {{"user", "u"}, {"system", "s"}}));
  test::expect_fault<ConfigError>("the role \"tool\"", render(mistral, {{"tool", "t"}}));
  test::expect_fault<ConfigError>("none has no place", render(none, {{"tool", "t"}}));
  EXPECT_EQ(render_chat(Messages{{"tool", "t"}}, GenerationPrompt::none, llama3_format(false)).text,
            "<|begin_of_text|><|start_header_id|>tool<|end_header_id|>\n\nt<|eot_id|>");
}

TEST_F(ChatFormats, AreDetectedInTemplates) {
  for (const ChatFormat& format : all_formats()) {
    const auto detected = detect_chat_format(golden["formats"][format.name]["template"].get<std::string>());
    if (format.name == "none") {
      EXPECT_FALSE(detected);
    } else {
      ASSERT_TRUE(detected) << format.name;
      EXPECT_EQ(*detected, format) << format.name;
    }
  }
}

TEST_F(ChatFormats, QwensOwnTemplateIsChatML) {
  const auto path = test::shared_dir() / "tokenizers" / "qwen3";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no Qwen3 tokenizer at " << path;
  const auto text = read_chat_template(path);
  ASSERT_TRUE(text);
  EXPECT_EQ(detect_chat_format(*text), chatml_format());
}

TEST_F(ChatFormats, VariantsOfATemplateAreSeen) {
  const auto changed = [&](const std::string& name, const std::string& from, const std::string& to) {
    std::string text = golden["formats"][name]["template"];
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    EXPECT_NE(text, golden["formats"][name]["template"]) << from;
    return detect_chat_format(text);
  };
  const std::string condition = "loop.index0 == place.last and system_message";
  EXPECT_EQ(changed("mistral v3", condition, "loop.first and system_message")->system_place, SystemPlace::first_user);
  EXPECT_EQ(changed("mistral v3", condition, "loop.last and system_message"), mistral_format(MistralVersion::v3));
  EXPECT_FALSE(changed("mistral v3", "|trim", "")->trims_answers);
  EXPECT_FALSE(changed("llama3", "| trim", "")->trims_others);
  EXPECT_FALSE(changed("mistral v3", "[/INST]", "\\n[/INST]")) << "white space of no version";
  EXPECT_FALSE(changed("mistral v1", "\" \" + message", "message"));
  EXPECT_FALSE(changed("llama3.1", "26 Jul 2024", "1 Jan 2025"));
  EXPECT_FALSE(changed("llama3", "<|eot_id|>", "<|eom_id|>"));
  EXPECT_FALSE(changed("chatml", "'\\n'", "'<|im_sep|>'"));
  EXPECT_FALSE(changed("chatml", "<|im_end|>", "[INST]"));
  for (const char* text : {"", "{{ messages }}", "{{", "{%'", "[INST]", "{{ '[INST] <<SYS>>' }}"})
    EXPECT_FALSE(detect_chat_format(text)) << text;
}

class ChatFormatChoices : public ChatFormats {
 protected:
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder.path() / name) << text; }
  void write_template(const std::string& name) const {
    write("tokenizer_config.json", json{{"chat_template", golden["formats"][name]["template"]}}.dump());
  }
  std::string chosen(ChatFormatChoice choice, const Tokenizer& some) const {
    return choose_chat_format(choice, folder.path(), some).name;
  }
  std::string automatic() const { return chosen(ChatFormatChoice::automatic, tokenizer); }

  test::TemporaryFolder folder;
  BpeTokenizer bare{tokenizer_file("qwen.json")};
};

TEST_F(ChatFormatChoices, AutomaticIsWhatTheFilesShow) {
  EXPECT_EQ(automatic(), "chatml") << "no template, ChatML's tokens";
  for (const ChatFormat& format : all_formats()) {
    if (format.name == "none") continue;
    write_template(format.name);
    EXPECT_EQ(automatic(), format.name);
  }
  const json text = golden["formats"]["llama3"]["template"], other = golden["formats"]["chatml"]["template"];
  const json tool = {{"name", "tool_use"}, {"template", text}};
  write("tokenizer_config.json", json{{"chat_template", {tool, {{"name", "default"}, {"template", other}}}}}.dump());
  EXPECT_EQ(automatic(), "chatml") << "the default of several";
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(automatic(), "chatml");
  write("chat_template.jinja", text.get<std::string>());
  write_template("chatml");
  EXPECT_EQ(automatic(), "llama3") << "the file comes before the key";
}

TEST_F(ChatFormatChoices, WhatIsNotKnownIsAnErrorThatNamesTheKey) {
  const auto choose = [&](const Tokenizer& some, ChatFormatChoice choice = ChatFormatChoice::automatic) {
    return [&, choice] { choose_chat_format(choice, folder.path(), some); };
  };
  test::expect_fault<ConfigError>("text.chat_format", choose(bare));
  test::expect_fault<ConfigError>("neither a chat template nor the token <|im_start|>", choose(bare));
  test::expect_fault<ConfigError>("text.chat_format", choose(bare, ChatFormatChoice::none));
  test::expect_fault<ConfigError>("no token <s>", choose(bare, ChatFormatChoice::mistral));
  write("chat_template.jinja", "{{ '<start_of_turn>' + messages[0].content }}");
  test::expect_fault<ConfigError>("text.chat_format", choose(tokenizer));
  test::expect_fault<ConfigError>("the chat template is of no known format", choose(tokenizer));
  std::filesystem::remove(folder.path() / "chat_template.jinja");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "<|im_start|><|im_end|>"}]})");
  test::expect_fault<ConfigError>("text.chat_format", choose(tokenizer));
  EXPECT_EQ(chosen(ChatFormatChoice::chatml, tokenizer), "chatml");
  write("tokenizer_config.json", R"({"chat_template": 3})");
  test::expect_fault<FormatError>("chat_template", choose(tokenizer));
}

TEST_F(ChatFormatChoices, ANameIsTheTemplatesVariantOfIt) {
  EXPECT_EQ(chosen(ChatFormatChoice::llama3, tokenizer), "llama3");
  EXPECT_EQ(chosen(ChatFormatChoice::mistral, tokenizer), "mistral v3");
  const std::vector<AddedToken> begin = {{"<s>"}};
  bare.add_tokens(begin);
  EXPECT_EQ(chosen(ChatFormatChoice::mistral, bare), "mistral v1") << "[INST] is no token";
  EXPECT_EQ(chosen(ChatFormatChoice::chatml, bare), "chatml");
  write_template("llama3.1");
  EXPECT_EQ(chosen(ChatFormatChoice::llama3, tokenizer), "llama3.1");
  EXPECT_EQ(chosen(ChatFormatChoice::chatml, tokenizer), "chatml");
  write_template("mistral v3-tekken");
  EXPECT_EQ(chosen(ChatFormatChoice::mistral, tokenizer), "mistral v3-tekken");
}

TEST_F(ChatFormatChoices, NoneEndsAnswersWithTheTokenThatTheFilesName) {
  const auto end = [&] { return choose_chat_format(ChatFormatChoice::none, folder.path(), tokenizer).answer_end; };
  EXPECT_EQ(end(), "<|endoftext|>");
  write("special_tokens_map.json", R"({"eos_token": {"content": "</s>"}})");
  EXPECT_EQ(end(), "</s>");
  write("tokenizer_config.json", R"({"eos_token": "<|eot_id|>"})");
  EXPECT_EQ(end(), "<|eot_id|>");
}

// The tokenizer puts no token around a text, whatever its post-processor says: the format's is the only one.
TEST_F(ChatFormatChoices, ABeginTokenOfThePostProcessorIsNotDoubled) {
  json file = json::parse(std::ifstream(tokenizer_file("qwen.json")));
  const std::int64_t begin = 431;
  file["added_tokens"].push_back({{"id", begin},
                                  {"content", "<|begin_of_text|>"},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false},
                                  {"special", true}});
  file["post_processor"] = json::parse(
      R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}},
          {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<|begin_of_text|>":
          {"id": "<|begin_of_text|>", "ids": [431], "tokens": ["<|begin_of_text|>"]}}})");
  write("tokenizer.json", file.dump());
  const auto loaded = load_tokenizer(folder.path());
  const Ids ids = tokenize_prompt(*loaded, Messages{{"user", "a"}}, SpecialTokens::parse,
                                  choose_chat_format(ChatFormatChoice::llama3, folder.path(), *loaded));
  EXPECT_EQ(ids.front(), begin);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), begin), 1);
}

}  // namespace
}  // namespace shine
