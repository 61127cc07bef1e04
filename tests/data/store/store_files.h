#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/random.h"
#include "data/byte_tokenizer.h"
#include "data/store/store_writer.h"
#include "data/store/token_store.h"
#include "support/paths.h"

namespace shine::test {

/// Texts as JSON lines.
inline std::string json_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += nlohmann::json{{"text", text}}.dump() + "\n";
  return lines;
}

/// Made-up texts of 1 to `longest` words.
inline std::vector<std::string> made_up_texts(std::size_t count, std::size_t longest, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<std::string> texts(count);
  for (std::string& text : texts) {
    const std::size_t words = 1 + random.below(longest);
    for (std::size_t i = 0; i < words; ++i) {
      if (i > 0) text += random.below(8) == 0 ? ".\n" : " ";
      for (std::size_t letter = 1 + random.below(7); letter > 0; --letter) {
        text += static_cast<char>('a' + random.below(26));
      }
    }
  }
  return texts;
}

/// A folder with texts and stores of them by the byte tokenizer.
class StoreFiles {
 public:
  std::filesystem::path at(const std::string& name) const { return folder_.path() / name; }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    return folder_.write(name, bytes);
  }

  TextStoreJob job(const std::vector<std::string>& files, const StoreOptions& options = {}) const {
    TextStoreJob job{.files = {}, .output = at("store"), .options = options};
    for (const std::string& file : files) job.files.push_back(at(file));
    return job;
  }

  /// A store of these texts.
  std::shared_ptr<const TokenStore> store(const std::vector<std::string>& texts,
                                          const StoreOptions& options = {}) const {
    write("texts.jsonl", json_lines(texts));
    write_text_store(job({"texts.jsonl"}, options), ByteTokenizer());
    return std::make_shared<const TokenStore>(at("store"));
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace shine::test
