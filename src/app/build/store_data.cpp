#include "app/build/store_data.h"

#include <algorithm>

#include "app/build/special_token_use.h"
#include "app/build/stage_data.h"
#include "data/pretrain/documents.h"
#include "data/store/mixed_dataset.h"
#include "data/store/shard_format.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {

std::size_t StoreData::documents() const {
  std::size_t count = 0;
  for (const auto& store : stores) count += store->documents();
  return count;
}

bool reads_stores(const ExperimentConfig& config) {
  return std::ranges::any_of(config.data.train, [](const std::string& path) { return is_token_store(path); });
}

StoreData load_stores(const ExperimentConfig& config, const Tokenizer& tokenizer) {
  SHINE_CHECK(config.data.max_texts == 0, ConfigError,
              "data.max_texts limits the texts that are read of files, and a token store is not read (remove it)");
  StoreData data;
  if (!config.data.validation.empty()) {
    data.validation = read_documents({config.data.validation.begin(), config.data.validation.end()},
                                     {.separator = config.data.separator})
                          .texts;
    for (const std::string& text : data.validation) data.held_out.push_back(text_hash(text));
  }
  const double share = config.data.validation.empty() ? config.data.validation_share : 0;
  for (const std::string& folder : config.data.train) {
    const auto store = std::make_shared<const TokenStore>(folder);
    store->require_tokenizer(tokenizer, special_tokens(config.text));
    HeldOut held = hold_out(*store, tokenizer, share, static_cast<std::uint64_t>(config.run.seed));
    std::ranges::move(held.texts, std::back_inserter(data.validation));
    std::ranges::move(held.hashes, std::back_inserter(data.held_out));
    data.stores.push_back(store);
  }
  log_info(str(data.documents(), " documents in ", data.stores.size(), " token stores, ", data.validation.size(),
               " validation texts"));
  return data;
}

std::shared_ptr<const Dataset> store_dataset(const Experiment& experiment, const StoreData& data,
                                             const PretrainOptions& options) {
  const std::vector<double>& weights = experiment.config.data.weights;
  std::vector<MixedDataset::Part> parts;
  for (std::size_t i = 0; i < data.stores.size(); ++i) {
    const auto part =
        std::make_shared<const StoreDataset>(data.stores[i], experiment.tokenizer, options, data.held_out);
    const std::string name = data.stores[i]->folder().string();
    log_packing(name, part->report());
    if (part->dropped() > 0)
      log_info(str(name, ": ", part->dropped(), " documents are held out, or equal one that is"));
    parts.push_back({part, weights.empty() ? 1.0 : weights.at(i)});
  }
  if (parts.size() == 1 && parts[0].weight == 1) return parts[0].dataset;
  return std::make_shared<MixedDataset>(std::move(parts), options.seed);
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
