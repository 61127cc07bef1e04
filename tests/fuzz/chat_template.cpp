// Messages between zero bytes, as (role, content, role, content, ..); the contents are texts of strangers.
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
  const std::vector<AddedToken> markers = {{std::string(kMessageStart)}, {std::string(kMessageEnd)}};
  tokenizer->add_tokens(markers);
  return tokenizer;
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static const std::unique_ptr<BpeTokenizer> made = fuzz::make_tokenizer();
  const BpeTokenizer& tokenizer = *made;
  static const std::int64_t start = require_token(tokenizer, kMessageStart);
  constexpr std::size_t most_parts = 8;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), most_parts);
  std::vector<ChatMessage> messages;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    messages.push_back({std::string(parts[i]), std::string(parts[i + 1])});
  }
  fuzz::accepts([&] {
    const RenderedText rendered = render_chat(messages);
    fuzz::require(rendered.contents.size() == messages.size(), "each message has its content");
    for (const TextSpan& span : rendered.contents) {
      fuzz::require(span.begin <= span.end && span.end <= rendered.text.size(), "contents lie within the text");
    }
    for (const SpecialTokens treatment : {SpecialTokens::parse, SpecialTokens::escape}) {
      const RenderedConversation conversation = tokenize_chat(tokenizer, messages, treatment);
      fuzz::require(conversation.ids.size() == conversation.labels.size(), "each id has its label");
      for (std::size_t i = 0; i < conversation.ids.size(); ++i) {
        const std::int64_t label = conversation.labels[i];
        fuzz::require(label == kIgnoredLabel || label == conversation.ids[i], "a label is its id");
      }
      const auto starts = std::count(conversation.ids.begin(), conversation.ids.end(), start);
      fuzz::require(treatment == SpecialTokens::parse || starts == static_cast<std::ptrdiff_t>(messages.size()),
                    "escaped contents hold no marker");
    }
  });
  return 0;
}
