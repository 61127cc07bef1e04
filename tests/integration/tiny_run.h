#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "integration/run_program.h"

namespace shine::test {

/// A folder with all that a run of seconds needs: texts, questions about them, a tokenizer learnt from them, a
/// config.json of width 32 and a YAML file for each stage; that of a later stage starts from the run of the one before.
class TinyRun {
 public:
  TinyRun();

  const std::filesystem::path& folder() const { return folder_.path(); }
  std::string file(const std::string& name) const { return (folder() / name).string(); }

  /// shine_train with one of backbone.yaml, pretrain.yaml, ift_mqa.yaml or ift_1qa.yaml.
  Outcome train(const std::string& yaml, std::vector<std::string> overrides = {}) const;

  /// Makes the backbone that pretrain.yaml names, by stage `backbone`.
  Outcome train_backbone() const { return train("backbone.yaml"); }

 private:
  TemporaryFolder folder_;
};

/// A dense qwen3 config.json of two layers.
std::string tiny_decoder_json();

/// `count` different sentences, each followed by a blank line.
std::string tiny_texts(int count);

/// As JSON lines, contexts of two such sentences from number `first` on, each with a question about either sentence.
std::string tiny_questions(int first, int count);

}  // namespace shine::test
