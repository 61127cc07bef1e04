#include "app/build/store_data.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "app/build/special_token_use.h"
#include "app/build/stage_data.h"
#include "data/pretrain/documents.h"
#include "data/store/mixed_dataset.h"
#include "data/store/shard_format.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {

namespace {

using Stores = std::vector<std::shared_ptr<const TokenStore>>;

std::size_t documents_of(const Stores& stores) {
  std::size_t count = 0;
  for (const auto& store : stores) count += store->documents();
  return count;
}

Stores open_stores(const ExperimentConfig& config, const Tokenizer& tokenizer, StoreContents contents) {
  SHINE_CHECK(config.data.max_texts == 0, ConfigError,
              "data.max_texts limits the texts that are read of files, and a token store is not read (remove it)");
  Stores stores;
  for (const std::string& folder : config.data.train) {
    stores.push_back(std::make_shared<const TokenStore>(folder));
    stores.back()->require_contents(contents);
    stores.back()->require_tokenizer(tokenizer, special_tokens(config.text));
  }
  return stores;
}

/// One data set of those of the stores.
std::shared_ptr<const Dataset> mixed(const ExperimentConfig& config, std::vector<std::shared_ptr<const Dataset>> sets,
                                     std::uint64_t seed) {
  const std::vector<double>& weights = config.data.weights;
  if (sets.size() == 1 && (weights.empty() || weights[0] == 1)) return sets[0];
  std::vector<MixedDataset::Part> parts;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    parts.push_back({std::move(sets[i]), weights.empty() ? 1.0 : weights.at(i)});
  }
  return std::make_shared<MixedDataset>(std::move(parts), seed);
}

/// The share that is held out of stores: none where data.validation names files.
double held_out_share(const ExperimentConfig& config) {
  return config.data.validation.empty() ? config.data.validation_share : 0;
}

void add(const QaReport& some, QaReport& all) {
  all.items += some.items;
  all.samples += some.samples;
  all.contexts_over_long += some.contexts_over_long;
  all.conversations_over_long += some.conversations_over_long;
  all.dropped += some.dropped;
  all.split_off += some.split_off;
  all.tokens_cut += some.tokens_cut;
  all.tokens += some.tokens;
  all.tokens_dropped += some.tokens_dropped;
}

}  // namespace

std::size_t StoreData::documents() const {
  return documents_of(stores);
}

std::size_t QuestionStores::contexts() const {
  return documents_of(stores);
}

bool reads_stores(const ExperimentConfig& config) {
  return std::ranges::any_of(config.data.train, [](const std::string& path) { return is_token_store(path); });
}

StoreData load_stores(const ExperimentConfig& config, const Tokenizer& tokenizer) {
  StoreData data{open_stores(config, tokenizer, StoreContents::texts), {}, {}};
  if (!config.data.validation.empty()) {
    data.validation = read_documents({config.data.validation.begin(), config.data.validation.end()},
                                     {.separator = config.data.separator})
                          .texts;
    for (const std::string& text : data.validation) data.held_out.push_back(text_hash(text));
  }
  for (const auto& store : data.stores) {
    HeldOut held = hold_out(*store, tokenizer, held_out_share(config), static_cast<std::uint64_t>(config.run.seed));
    std::ranges::move(held.texts, std::back_inserter(data.validation));
    std::ranges::move(held.hashes, std::back_inserter(data.held_out));
  }
  log_info(str(data.documents(), " documents in ", data.stores.size(), " token stores, ", data.validation.size(),
               " validation texts"));
  return data;
}

std::shared_ptr<const Dataset> store_dataset(const Experiment& experiment, const StoreData& data,
                                             const PretrainOptions& options) {
  std::vector<std::shared_ptr<const Dataset>> sets;
  for (const auto& store : data.stores) {
    const auto set = std::make_shared<const StoreDataset>(store, experiment.tokenizer, options, data.held_out);
    const std::string name = store->folder().string();
    log_packing(name, set->report());
    if (set->dropped() > 0) log_info(str(name, ": ", set->dropped(), " documents are held out, or equal one that is"));
    sets.push_back(set);
  }
  return mixed(experiment.config, std::move(sets), options.seed);
}

QuestionStores load_question_stores(const ExperimentConfig& config, const Tokenizer& tokenizer) {
  QuestionStores data{open_stores(config, tokenizer, StoreContents::questions), {}, {}};
  for (const std::string& file : config.data.validation) {
    std::ranges::move(read_qa_items(file), std::back_inserter(data.validation));
  }
  for (const auto& store : data.stores) {
    std::ranges::move(
        hold_out_items(*store, tokenizer, held_out_share(config), static_cast<std::uint64_t>(config.run.seed)),
        std::back_inserter(data.validation));
  }
  if (config.data.validation.empty() || config.data.check_overlap) {
    for (const QaItem& item : data.validation) data.held_out.push_back(context_hash(item.context));
  }
  log_info(str(data.contexts(), " contexts with questions in ", data.stores.size(), " token stores, ",
               data.validation.size(), " validation contexts"));
  return data;
}

std::shared_ptr<const Dataset> question_dataset(const Experiment& experiment, const QuestionStores& data,
                                                const QaOptions& options, Stage& stage) {
  std::vector<std::shared_ptr<const Dataset>> sets;
  QaReport report;
  for (const auto& store : data.stores) {
    const auto set = std::make_shared<const QuestionDataset>(store, experiment.tokenizer, options, data.held_out);
    add(set->report(), report);
    if (set->left_out() > 0) {
      log_info(str(store->folder().string(), ": ", set->left_out(), " items are held out, or have a context that is"));
    }
    sets.push_back(set);
  }
  report_questions(report, options, "train", stage);
  return mixed(experiment.config, std::move(sets), options.seed);
}

void log_packing(const std::string& set, const PretrainReport& report) {
  log_info(str(set, ": packed ", report.texts, " texts into ", report.groups, " groups; ", report.over_long,
               " texts over the conversation limit, cut at the end (", report.tokens_cut, " tokens); ",
               report.contexts_over_long, " contexts over the context limit, cut at the end (",
               report.context_tokens_cut, " tokens); ", report.split_off, " pieces split off"));
  warn_about_lost_tokens(set, report.tokens_lost(), report.tokens,
                         "set data.over_long=split, which makes pieces of long texts, or raise "
                         "text.context_max_length and text.conversation_max_length");
}

}  // namespace shine
