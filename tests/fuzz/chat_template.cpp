// A digit that names the format (none: ChatML), then messages between zero bytes, as (role, content, role, content,
// ..); the contents are texts of strangers. The whole is a chat template too.
#include "shine/text/chat_template.h"

#include <algorithm>

#include "fuzz/fuzz_target.h"
#include "shine/text/special_tokens.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine::fuzz {
namespace {

std::unique_ptr<BpeTokenizer> make_tokenizer() {
  auto tokenizer = std::make_unique<BpeTokenizer>(test::golden_dir() / "tokenizer" / "qwen.json");
  std::vector<AddedToken> markers;
  for (const char* marker : {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|start_header_id|>",
                             "<|end_header_id|>", "<|eot_id|>", "<s>", "</s>"}) {
    markers.push_back({marker});
  }
  tokenizer->add_tokens(markers);
  return tokenizer;
}

/// The token that stands once before every message, or behind it, and nowhere else; empty where there is none.
std::string_view marker_of(const ChatFormat& format) {
  if (format.name == "chatml") return kMessageStart;
  return format.name.starts_with("llama3") ? "<|start_header_id|>" : "";
}

void check_rendered(const ChatFormat& format, const std::vector<ChatMessage>& messages) {
  const RenderedText rendered = render_chat(messages, GenerationPrompt::none, format);
  require(rendered.contents.size() == messages.size(), "each message has its content");
  require(rendered.text.starts_with(format.begin), "the text begins with its token");
  for (const auto* spans : {&rendered.contents, &rendered.labelled}) {
    std::size_t end = 0;
    for (const TextSpan& span : *spans) {
      require(end <= span.begin && span.begin <= span.end, "parts are in order");
      end = span.end;
    }
    require(end <= rendered.text.size(), "parts lie within the text");
  }
}

void check_tokens(const Tokenizer& tokenizer, const ChatFormat& format, const std::vector<ChatMessage>& messages) {
  const std::string_view marker = marker_of(format);
  for (const SpecialTokens treatment : {SpecialTokens::parse, SpecialTokens::escape}) {
    for (const ChatPart part : {ChatPart::whole, ChatPart::later}) {
      const RenderedConversation conversation = tokenize_chat(tokenizer, messages, treatment, format, part);
      require(conversation.ids.size() == conversation.labels.size(), "each id has its label");
      for (std::size_t i = 0; i < conversation.ids.size(); ++i) {
        const std::int64_t label = conversation.labels[i];
        require(label == kIgnoredLabel || label == conversation.ids[i], "a label is its id");
      }
      if (treatment == SpecialTokens::parse || marker.empty()) continue;
      const auto seen = std::count(conversation.ids.begin(), conversation.ids.end(), *tokenizer.token_to_id(marker));
      const bool has_own = part == ChatPart::whole && !format.system_lead.empty() && messages.front().role != "system";
      require(seen == static_cast<std::ptrdiff_t>(messages.size() + (has_own ? 1 : 0)),
              "escaped contents hold no marker");
    }
  }
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static const std::unique_ptr<BpeTokenizer> made = fuzz::make_tokenizer();
  static const std::vector<ChatFormat> formats = {chatml_format(),
                                                  llama3_format(false),
                                                  llama3_format(true),
                                                  mistral_format(MistralVersion::v1),
                                                  mistral_format(MistralVersion::v3),
                                                  mistral_format(MistralVersion::v3_tekken),
                                                  plain_format("<|endoftext|>")};
  const std::string_view input = fuzz::as_text(data, size);
  if (const auto detected = detect_chat_format(input)) {
    fuzz::require(!detected->answer_end.empty(), "a format ends its answers");
  }
  // A byte that is no digit belongs to the first role, and the format is ChatML.
  const bool names_format = !input.empty() && input.front() >= '0' && input.front() < '7';
  const ChatFormat& format = formats[names_format ? static_cast<std::size_t>(input.front() - '0') : 0];
  constexpr std::size_t most_parts = 8;
  const auto parts = fuzz::split_input(input.substr(names_format ? 1 : 0), most_parts);
  std::vector<ChatMessage> messages;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    messages.push_back({std::string(parts[i]), std::string(parts[i + 1])});
  }
  fuzz::accepts([&] {
    fuzz::check_rendered(format, messages);
    fuzz::check_tokens(*made, format, messages);
  });
  return 0;
}
