// A tokenizer.json and, behind a zero byte, a text that it encodes and decodes.
#include "fuzz/check_tokens.h"
#include "shine/text/special_tokens.h"
#include "text/bpe/bpe_tokenizer.h"

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
