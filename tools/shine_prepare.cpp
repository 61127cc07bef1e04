// Makes what training needs from files at hand.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "command_line.h"
#include "shine/common/error.h"
#include "shine/io/json_file.h"
#include "shine/io/jsonl.h"
#include "shine/io/text_file.h"
#include "shine/text/bpe_trainer.h"

namespace {

struct TokenizerOptions {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;
  shine::BpeTrainerOptions trainer;
};

void add_file(shine::BpeTrainer& trainer, const std::filesystem::path& path) {
  if (path.extension() != ".jsonl") return trainer.add_text(shine::read_text_file(path));
  shine::read_jsonl(path, [&](std::size_t line, nlohmann::json&& value) {
    trainer.add_text(shine::get_string(value, "text", shine::str(path.string(), ':', line)));
  });
}

int make_tokenizer(const TokenizerOptions& options) {
  shine::BpeTrainer trainer(options.trainer);
  for (const auto& input : options.inputs) add_file(trainer, input);
  const std::int64_t size = trainer.write(options.output);
  std::cout << options.output.string() << ": a tokenizer of " << size << " ids\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes what training needs from files at hand.");
  app.require_subcommand(1);

  TokenizerOptions tokenizer;
  CLI::App* command = app.add_subcommand("tokenizer", "Learn a byte-level BPE tokenizer and write it as a folder");
  command->add_option("--input", tokenizer.inputs, "Texts: .jsonl (field text), any other file as one text")
      ->required();
  command->add_option("--vocab-size", tokenizer.trainer.vocabulary_size, "Ids in all: bytes, merges, special tokens")
      ->required();
  command->add_option("--min-frequency", tokenizer.trainer.min_frequency, "Pairs seen less often are not merged")
      ->capture_default_str();
  command->add_option("--output", tokenizer.output, "The folder")->required();
  return shine::run_command_line("shine_prepare", app, argc, argv, [&] { return make_tokenizer(tokenizer); });
}
