// A tokenizer.json and, behind a zero byte, a text that it encodes and decodes.
#include "fuzz/fuzz_target.h"
#include "shine/text/bpe_tokenizer.h"
#include "shine/text/special_tokens.h"
#include "text/utf8.h"

namespace shine::fuzz {
namespace {

void check_tokens(const Tokenizer& tokenizer, std::string_view text) {
  const Encoding encoding = tokenizer.encode(text);
  require(encoding.ids.size() == encoding.offsets.size(), "each id has its place");
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextSpan span = encoding.offsets[i];
    require(encoding.ids[i] >= 0 && encoding.ids[i] < tokenizer.size(), "ids are those of the vocabulary");
    require(span.begin <= span.end && span.end <= text.size(), "places lie within the text");
    require(tokenizer.token_to_id(tokenizer.id_to_token(encoding.ids[i])) == encoding.ids[i], "an id has one name");
  }
  require(is_valid_utf8(tokenizer.decode(encoding.ids)), "a decoded text is UTF-8");
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const std::int64_t id : encoding.ids) streamed += stream.push(id);
  require(streamed + stream.finish() == tokenizer.decode(encoding.ids), "pieces of a stream make the text");
  require(tokenizer.encode(text).ids == encoding.ids, "a text has one encoding");
  const std::vector<TextSpan> all = {{0, text.size()}};
  for (const std::int64_t id : tokenizer.encode_with_escapes(text, all).ids) {
    require(id >= 0 && id < tokenizer.size(), "ids are those of the vocabulary");
  }
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), 2);
  static fuzz::MemoryFile file;
  file.write(parts[0]);
  fuzz::accepts([&] {
    BpeTokenizer tokenizer(file.path());
    for (const std::string_view text : {std::string_view("The ferry 12\n <s>e\u0301\xff"), parts[1]}) {
      fuzz::check_tokens(tokenizer, text);
    }
    const TaskTokens tokens = add_task_tokens(tokenizer);
    fuzz::require(tokenizer.encode(kReconstruct).ids.size() <= kReconstruct.size(), "an added token shortens");
    fuzz::require(tokens.reconstruct != tokens.complete, "added tokens differ");
  });
  return 0;
}
