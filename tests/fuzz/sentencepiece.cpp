// A text without zero bytes, a zero byte, and a sentencepiece model that encodes and decodes it.
#include <vector>

#include "fuzz/check_tokens.h"
#include "shine/text/special_tokens.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const auto parts = fuzz::split_input(fuzz::as_text(data, size), 2);
  static fuzz::MemoryFile file;
  file.write(parts[1]);
  fuzz::accepts([&] {
    SentencePieceTokenizer tokenizer(file.path());
    for (const std::string_view text : {std::string_view("The ferry 12\n <s>e\u0301\xff"), parts[0]}) {
      fuzz::check_tokens(tokenizer, text);
    }
    const TaskTokens tokens = add_task_tokens(tokenizer);
    fuzz::require(tokenizer.encode(kReconstruct).ids == std::vector<std::int64_t>{tokens.reconstruct},
                  "an added token is one token");
    for (const std::int64_t id : tokenizer.encode(kReconstruct, SpecialTokens::escape).ids) {
      fuzz::require(id != tokens.reconstruct, "an escaped text holds no added token");
    }
  });
  return 0;
}
