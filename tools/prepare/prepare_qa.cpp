#include "prepare/prepare_qa.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "command_line.h"
#include "enum_option.h"

namespace shine {

PrepareQa::PrepareQa(CLI::App& app)
    : command_(
          app.add_subcommand("qa", "Convert published question answering into JSON lines for training and tests")) {
  add_enum_option<QaFormat>(*command_, "--from", "The layout of the input", [this](auto format) {
    options_.format = format;
  })->required();
  is_path(command_->add_option("--input", inputs_, "Files of that layout (mctest: the .tsv, its .ans beside it)"))
      ->required();
  is_path(command_->add_option("--output", output_.file, "The JSON lines"))->required();
  command_->add_option("--source", options_.source, "Name of the data in the items; the layout's where not given");
  add_enum_option<SentenceSeparator>(
      *command_, "--sentence-separator",
      "hotpotqa, 2wiki: what joins sentences (automatic: nothing with hotpotqa, a space with 2wiki)",
      [this](auto separator) { options_.sentence_separator = separator; });
  command_->add_option("--validation-share", output_.validation_share,
                       "Share of the items set apart; no context and no article of squad is on both sides");
  is_path(command_->add_option("--validation-output", output_.validation_file, "Where these go"));
  command_->add_option("--seed", output_.seed, "Of the choice of these")->capture_default_str();
  command_->footer("Example: shine_prepare qa --from squad --input train-v2.0.json --output data/squad.jsonl");
}

bool PrepareQa::is_chosen() const {
  return command_->parsed();
}

int PrepareQa::run() const {
  const QaSplitReport report = write_qa_files(inputs_, options_, output_);
  std::cout << describe(report) << '\n'
            << output_.file.string() << ": " << report.items - report.validation_items << " items\n";
  if (output_.validation_share > 0) {
    std::cout << output_.validation_file.string() << ": " << report.validation_items << " items\n";
  }
  return 0;
}

}  // namespace shine
