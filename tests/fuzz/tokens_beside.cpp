// The files beside a vocabulary, between zero bytes: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// merges.txt. One folder has a sound tokenizer.json, another the vocab.json that merges.txt belongs to.
#include "text/tokens_beside.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "fuzz/check_tokens.h"
#include "shine/common/logging.h"
#include "support/paths.h"
#include "text/bpe/bpe_tokenizer.h"

namespace shine::fuzz {
namespace {

class TokenizerFolders {
 public:
  TokenizerFolders() {
    set_log_level(LogLevel::error);
    const auto golden = test::golden_dir() / "tokenizer" / "qwen.json";
    std::filesystem::create_symlink(golden, with_file_.path() / "tokenizer.json");
    std::ofstream(without_file_.path() / "vocab.json")
        << nlohmann::json::parse(std::ifstream(golden))["model"]["vocab"];
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (const test::TemporaryFolder* folder : {&with_file_, &without_file_})
        std::filesystem::create_symlink(files_[i].path(), folder->path() / names[i]);
    }
  }

  void write(const std::vector<std::string_view>& contents) {
    for (std::size_t i = 0; i < names.size(); ++i) files_[i].write(contents[i]);
  }

  std::array<std::filesystem::path, 2> paths() const { return {with_file_.path(), without_file_.path()}; }

  static constexpr std::array<const char*, 4> names = {"tokenizer_config.json", "special_tokens_map.json",
                                                       "added_tokens.json", "merges.txt"};

 private:
  test::TemporaryFolder with_file_, without_file_;
  std::array<MemoryFile, names.size()> files_;
};

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static fuzz::TokenizerFolders folders;
  folders.write(fuzz::split_input(fuzz::as_text(data, size), folders.names.size()));
  for (const std::filesystem::path& path : folders.paths()) {
    fuzz::accepts([&] {
      const BpeTokenizer tokenizer(path);
      fuzz::check_tokens(tokenizer, "The <|sep|> ferry 12\n <s>e\u0301<think>\xff <|im_end|>\n");
    });
  }
  return 0;
}
