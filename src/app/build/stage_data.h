#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/pretrain/documents.h"
#include "data/pretrain/pretrain_dataset.h"
#include "data/qa/qa_dataset.h"
#include "data/qa/qa_split.h"
#include "shine/app/builders.h"
#include "train/stage.h"

namespace shine {

/// data.train and data.validation as texts; logs what became of them. Throws ConfigError where there is no text to
/// train on, and what load_documents throws.
DocumentSplit load_texts(const ExperimentConfig& config);

/// The same as contexts with questions.
QaSplit load_questions(const ExperimentConfig& config);

/// Warns where more than a tenth of a set's tokens is never trained on (or scored).
/// @param set   "train"
/// @param cure  what keeps them: "set data.over_long=split"
void warn_about_lost_tokens(const std::string& set, std::int64_t lost, std::int64_t all, const std::string& cure);

/// The options that training and evaluation of reconstruction and completion share; the caller sets lengths and seed.
PretrainOptions pretrain_options(const Experiment& experiment);

QaOptions qa_options(const Experiment& experiment, QaForm form, ContextPlace place);

/// Writes what became of the items of a set into the log and the stage's counts.
/// @param name  of the set: "train", or of one for validation
void report_questions(const QaReport& report, const QaOptions& options, const std::string& name, Stage& stage);

/// The data set; what became of its items is reported.
std::shared_ptr<const Dataset> qa_dataset(const Experiment& experiment, std::vector<QaItem> items,
                                          const QaOptions& options, const std::string& name, Stage& stage);

}  // namespace shine
