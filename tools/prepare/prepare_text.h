#pragma once

#include <filesystem>
#include <string>

#include "data/store/store_writer.h"

namespace CLI {
class App;
}

namespace shine {

/// `shine_prepare text`: a token store of texts.
class PrepareText {
 public:
  /// Adds the command. This object must outlive `app`'s parsing.
  explicit PrepareText(CLI::App& app);
  PrepareText(const PrepareText&) = delete;
  PrepareText& operator=(const PrepareText&) = delete;

  bool is_chosen() const;
  int run() const;

 private:
  CLI::App* command_ = nullptr;
  TextStoreJob job_;
  std::filesystem::path tokenizer_;
  double shard_mib_ = 128;
  double unique_gib_ = 4;
};

}  // namespace shine
