#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/convert/qa_convert.h"

namespace CLI {
class App;
}

namespace shine {

/// The subcommand `qa`: published question answering into the form that training and evaluation read.
class PrepareQa {
 public:
  /// Binds the command line's options to this object, which must outlive its parsing.
  explicit PrepareQa(CLI::App& app);
  PrepareQa(const PrepareQa&) = delete;
  PrepareQa& operator=(const PrepareQa&) = delete;

  bool is_chosen() const;
  int run() const;

 private:
  CLI::App* command_ = nullptr;
  std::vector<std::filesystem::path> inputs_;
  QaConvertOptions options_;
  QaOutput output_;
};

}  // namespace shine
