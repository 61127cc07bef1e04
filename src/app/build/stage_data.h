#pragma once

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

/// data.train and data.validation as texts, with what became of them in the log. Throws ConfigError where there is no
/// text to train on, and what load_documents throws.
DocumentSplit load_texts(const ExperimentConfig& config);

/// The same as contexts with questions.
QaSplit load_questions(const ExperimentConfig& config);

/// What training and evaluation of reconstruction and completion share; lengths and seed are the caller's.
PretrainOptions pretrain_options(const ExperimentConfig& config);

QaOptions qa_options(const ExperimentConfig& config, QaForm form, ContextPlace place);

/// The data set, with what became of its items in the log and in the stage's counts.
std::shared_ptr<const Dataset> qa_dataset(const Experiment& experiment, std::vector<QaItem> items,
                                          const QaOptions& options, const std::string& name, Stage& stage);

}  // namespace shine
