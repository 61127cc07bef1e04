#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/build/stage_data.h"
#include "data/pretrain/pretrain_form.h"
#include "data/store/question_dataset.h"
#include "data/store/store_dataset.h"
#include "shine/app/builders.h"

namespace shine {

/// data.train as token stores, and the texts of validation.
struct StoreData {
  std::vector<std::shared_ptr<const TokenStore>> stores;
  std::vector<std::string> validation;
  /// text_hash of each; no document that has one of them is trained on.
  std::vector<std::uint64_t> held_out;

  std::size_t documents() const;
};

/// True where data.train names a token store.
bool reads_stores(const ExperimentConfig& config);

/// Opens the stores. Validation: the files of data.validation, else data.validation_share of each store. Throws
/// ConfigError where data.max_texts limits them or the tokenizer is another, and what opening and reading throw.
StoreData load_stores(const ExperimentConfig& config, const Tokenizer& tokenizer);

/// The documents to train on as one data set, mixed by data.weights; logs what packing did.
std::shared_ptr<const Dataset> store_dataset(const Experiment& experiment, const StoreData& data,
                                             const PretrainOptions& options);

/// The same for stores of questions.
struct QuestionStores {
  std::vector<std::shared_ptr<const TokenStore>> stores;
  std::vector<QaItem> validation;
  /// context_hash of each; no item with one of these contexts is trained on. Empty where data.check_overlap is off and
  /// data.validation names files.
  std::vector<std::uint64_t> held_out;

  std::size_t contexts() const;
};

/// As load_stores.
QuestionStores load_question_stores(const ExperimentConfig& config, const Tokenizer& tokenizer);

/// The items to train on as one data set, mixed by data.weights; what became of them goes into the log and the stage's
/// counts.
std::shared_ptr<const Dataset> question_dataset(const Experiment& experiment, const QuestionStores& data,
                                                const QaOptions& options, Stage& stage);

/// Logs what packing did to a set, and warns where it loses much.
/// @param set  "train"
void log_packing(const std::string& set, const PretrainReport& report);

}  // namespace shine
