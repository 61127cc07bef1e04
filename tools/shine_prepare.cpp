// Makes what training needs from files at hand.
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "command_line.h"
#include "data/tiny_world/tiny_world.h"
#include "io/files/text_input.h"
#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "prepare/prepare_qa.h"
#include "prepare/prepare_text.h"
#include "prepare/sentencepiece_trainer.h"
#include "shine/common/error.h"
#include "text/bpe/bpe_trainer.h"

namespace {

using shine::is_path;

enum class TokenizerKind { bpe, sentencepiece_unigram, sentencepiece_bpe };
const std::map<std::string, TokenizerKind> kTokenizerKinds = {
    {"bpe", TokenizerKind::bpe},
    {"sentencepiece-unigram", TokenizerKind::sentencepiece_unigram},
    {"sentencepiece-bpe", TokenizerKind::sentencepiece_bpe}};

struct TokenizerOptions {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;
  std::filesystem::path words;
  std::string kind = "bpe";
  shine::BpeTrainerOptions bpe;
  shine::SentencePieceTrainerOptions sentencepiece;
  std::vector<const CLI::Option*> only_bpe, only_sentencepiece;
};

template <class Trainer>
void add_file(Trainer& trainer, const std::filesystem::path& path) {
  if (shine::inner_extension(path) != ".jsonl") {
    return trainer.add_text(shine::read_foreign_text(path, shine::TextForm::any));
  }
  const auto add_line = [&](std::size_t line, nlohmann::json&& value) {
    trainer.add_text(shine::get_string(value, "text", shine::str(path.string(), ':', line)));
  };
  shine::read_jsonl(path, add_line, shine::TextForm::utf8);
}

template <class Trainer, class Options>
int train_tokenizer(const TokenizerOptions& options, Options trainer_options) {
  Trainer trainer(std::move(trainer_options));
  for (const auto& input : options.inputs) add_file(trainer, input);
  const std::int64_t size = trainer.write(options.output);
  std::cout << options.output.string() << ": a tokenizer of " << size << " ids\n";
  return 0;
}

/// No option is ignored.
void check_options_of_kind(const TokenizerOptions& options, TokenizerKind kind) {
  for (const CLI::Option* option : kind == TokenizerKind::bpe ? options.only_sentencepiece : options.only_bpe) {
    if (option->count() == 0) continue;
    throw shine::ConfigError(shine::str(option->get_name(), " has no effect on a tokenizer of kind ", options.kind),
                             "command line", "remove it, or choose another --kind");
  }
}

int make_tokenizer(TokenizerOptions options) {
  const TokenizerKind kind = kTokenizerKinds.at(options.kind);
  check_options_of_kind(options, kind);
  if (kind == TokenizerKind::bpe) {
    return train_tokenizer<shine::BpeTrainer>(options, options.bpe);
  }
  shine::SentencePieceTrainerOptions& trainer = options.sentencepiece;
  trainer.kind = kind == TokenizerKind::sentencepiece_bpe ? shine::SentencePieceModelKind::bpe
                                                          : shine::SentencePieceModelKind::unigram;
  trainer.vocabulary_size = options.bpe.vocabulary_size;
  if (!options.words.empty()) {
    const auto add_word = [&](std::size_t, std::string_view line) {
      trainer.words.emplace_back(line);
      return true;
    };
    shine::read_lines(options.words, add_word, shine::TextForm::any);
  }
  return train_tokenizer<shine::SentencePieceTrainer>(options, trainer);
}

CLI::App& add_tokenizer_command(CLI::App& app, TokenizerOptions& options) {
  CLI::App* command = app.add_subcommand("tokenizer", "Learn a tokenizer and write it as a folder");
  command->add_option("--kind", options.kind, "Byte-level BPE, or a model of the sentencepiece library")
      ->check(CLI::IsMember({"bpe", "sentencepiece-unigram", "sentencepiece-bpe"}))
      ->capture_default_str();
  is_path(command->add_option("--input", options.inputs,
                              "Texts: .jsonl (field text), any other file as one text; .gz and .zst are unpacked"))
      ->required();
  command->add_option("--vocab-size", options.bpe.vocabulary_size, "Ids in all: bytes, pieces, special tokens")
      ->required();
  options.only_bpe = {
      command->add_option("--min-frequency", options.bpe.min_frequency, "bpe: pairs seen less often are not merged")
          ->capture_default_str()};
  options.only_sentencepiece = {
      is_path(command->add_option(
          "--words", options.words,
          "sentencepiece: a file of words, a line each, that become pieces with the space before them")),
      command->add_flag("--byte-fallback", options.sentencepiece.byte_fallback,
                        "sentencepiece: write characters that have no piece as bytes"),
      command
          ->add_option("--character-coverage", options.sentencepiece.character_coverage,
                       "sentencepiece: share of the texts' characters that get a piece")
          ->capture_default_str(),
      command
          ->add_option("--normalization", options.sentencepiece.normalization,
                       "sentencepiece: rules that rewrite texts before they are cut")
          ->check(CLI::IsMember({"nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf", "identity"}))
          ->capture_default_str()};
  is_path(command->add_option("--output", options.output, "The folder"))->required();
  command->footer(
      "Example: shine_prepare tokenizer --input texts.jsonl --vocab-size 8192 --output models/my-tokenizer");
  return *command;
}

struct TinyWorldCommand {
  shine::TinyWorldOptions world;
  std::filesystem::path output;
};

int make_tiny_world(const TinyWorldCommand& command) {
  const shine::TinyWorld world = shine::make_tiny_world(command.world);
  shine::write_tiny_world(world, command.output);
  std::cout << command.output.string() << ": " << world.train.size() << " notes to train on, "
            << world.validation.size() << " held out\n";
  return 0;
}

CLI::App& add_tiny_world_command(CLI::App& app, TinyWorldCommand& options) {
  CLI::App* command = app.add_subcommand("tiny-world", "Write the notes and questions of the small world");
  const auto number = [&](const char* name, std::int64_t& value, const char* text) {
    command->add_option(name, value, text)->capture_default_str();
  };
  number("--notes", options.world.notes, "Notes to train on");
  number("--validation", options.world.validation, "Notes held out: other names, other contexts");
  number("--fewest-facts", options.world.fewest_facts, "Facts of a note at least");
  number("--most-facts", options.world.most_facts, "Facts of a note at most");
  number("--sft-notes", options.world.sft_notes, "Held-out notes that have conversations for SFT: the first ones");
  number("--sft-conversations", options.world.sft_conversations, "Conversations for SFT of each of these");
  command->add_option("--seed", options.world.seed, "Another seed is another world")->capture_default_str();
  is_path(command->add_option("--output", options.output, "The folder"))->required();
  command->footer("Example: shine_prepare tiny-world --seed 2 --output data/another-world");
  return *command;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes what training needs from files at hand.");
  app.require_subcommand(1);
  TokenizerOptions tokenizer;
  TinyWorldCommand tiny_world;
  const CLI::App& tokenizer_command = add_tokenizer_command(app, tokenizer);
  add_tiny_world_command(app, tiny_world);
  const shine::PrepareQa qa(app);
  const shine::PrepareText text(app);
  app.footer("Example: shine_prepare tiny-world --output data/tiny-world");
  return shine::run_command_line("shine_prepare", app, argc, argv, [&] {
    if (qa.is_chosen()) return qa.run();
    if (text.is_chosen()) return text.run();
    return tokenizer_command.parsed() ? make_tokenizer(tokenizer) : make_tiny_world(tiny_world);
  });
}
