#include "app/build/stage_data.h"

#include "app/build/special_token_use.h"
#include "common/format.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {

DocumentSplit load_texts(const ExperimentConfig& config) {
  DocumentSplit split = load_documents(config.data, static_cast<std::uint64_t>(config.run.seed));
  SHINE_CHECK(!split.train.empty(), ConfigError, "data.train: ", join(config.data.train, ", "),
              ": no text to train on (name files that hold texts)");
  log_info(str(split.train.size(), " training texts, ", split.validation.size(), " validation texts (", split.empty,
               " empty ones left out, ", split.repaired, " with repaired UTF-8, ", split.dropped_from_train,
               " also in validation and dropped)"));
  if (split.dropped_from_train * 9 > split.train.size()) {  // a tenth of both
    log_warning(str(split.dropped_from_train, " of ", split.train.size() + split.dropped_from_train,
                    " training texts stand in data.validation too and are not trained on (take them out of one side)"));
  }
  return split;
}

void warn_about_lost_tokens(const std::string& set, std::int64_t lost, std::int64_t all, const std::string& cure) {
  if (lost * 10 <= all) return;
  log_warning(str(set, ": ", lost, " of ", all, " tokens (",
                  format("%.1f %%", 100.0 * static_cast<double>(lost) / static_cast<double>(all)),
                  ") are over the maximum lengths and are cut off or dropped (", cure, ")"));
}

QaSplit load_questions(const ExperimentConfig& config) {
  QaSplit split = load_qa_items(config.data, static_cast<std::uint64_t>(config.run.seed));
  std::size_t absent = 0;
  for (const QaItem& item : split.train) absent += count_not_in_context(item);
  log_info(str(split.train.size(), " training contexts with questions (", absent,
               " questions without an answer that stands in the context), ", split.validation.size(),
               " validation contexts"));
  return split;
}

PretrainOptions pretrain_options(const Experiment& experiment) {
  const ExperimentConfig& config = experiment.config;
  PretrainOptions options;
  options.completion_drop_min = config.stage.completion_drop_min;
  options.completion_drop_max = config.stage.completion_drop_max;
  options.collapse_whitespace = config.stage.collapse_whitespace;
  options.special_tokens = special_tokens(config.text);
  options.chat_format = experiment.chat_format;
  return options;
}

QaOptions qa_options(const Experiment& experiment, QaForm form, ContextPlace place) {
  const ExperimentConfig& config = experiment.config;
  QaOptions options;
  options.form = form;
  options.place = place;
  options.context_max_length = config.text.context_max_length;
  options.conversation_max_length = config.text.conversation_max_length;
  const bool chosen = config.data.over_long != OverLong::automatic;
  options.over_long = chosen ? config.data.over_long : OverLong::drop;
  options.prompts = config.evaluation.prompts;
  options.special_tokens = special_tokens(config.text);
  options.chat_format = experiment.chat_format;
  options.seed = static_cast<std::uint64_t>(config.run.seed);
  return options;
}

void report_questions(const QaReport& report, const QaOptions& options, const std::string& name, Stage& stage) {
  const std::string log_name = name == "train" ? name : "validation " + name;
  log_info(str(log_name, ": ", report.items, " contexts, ", report.samples, " samples; ", report.contexts_over_long,
               " contexts and ", report.conversations_over_long, " conversations over their limits; ", report.dropped,
               " samples dropped, ", report.split_off, " split off, ", report.tokens_cut, " tokens cut"));
  std::string cure = "raise text.context_max_length or text.conversation_max_length";
  if (options.over_long == OverLong::drop) cure += ", or set data.over_long=cut, or split for long conversations";
  if (options.over_long == OverLong::split) cure += ", or set data.over_long=cut";
  warn_about_lost_tokens(log_name, report.tokens_cut + report.tokens_dropped, report.tokens, cure);
  const auto count = [](auto value) { return static_cast<std::int64_t>(value); };
  stage.data_counts.push_back({name,
                               {{"items", count(report.items)},
                                {"samples", count(report.samples)},
                                {"contexts_over_long", count(report.contexts_over_long)},
                                {"conversations_over_long", count(report.conversations_over_long)},
                                {"dropped", count(report.dropped)},
                                {"split_off", count(report.split_off)},
                                {"tokens_cut", report.tokens_cut}}});
}

std::shared_ptr<const Dataset> qa_dataset(const Experiment& experiment, std::vector<QaItem> items,
                                          const QaOptions& options, const std::string& name, Stage& stage) {
  auto dataset = std::make_shared<QaDataset>(std::move(items), experiment.tokenizer, options);
  report_questions(dataset->report(), options, name, stage);
  return dataset;
}

}  // namespace shine
