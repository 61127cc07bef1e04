#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/qa/qa_items.h"
#include "shine/config/data_config.h"

namespace shine {

/// Items to train on and items kept for validation.
struct QaSplit {
  std::vector<QaItem> train;
  std::vector<QaItem> validation;
};

/// Holds out about `share` of the contexts with all their items, at least one if share > 0, the same ones for the same
/// seed. Equal contexts go to the same side; both sides keep their order. Throws ConfigError at `where` when share is
/// outside [0, 1) or there are fewer than two different contexts to split.
QaSplit split_qa_items(std::vector<QaItem> items, double share, std::uint64_t seed, const std::string& where = {});

/// Reads the files of the configuration (max_texts limits the training items) and holds out validation: the validation
/// files if there are any, else validation_share. Throws what reading and splitting throw, and ConfigError for a
/// context in both kinds of files (with check_overlap) or if no item is left to train on.
QaSplit load_qa_items(const DataConfig& config, std::uint64_t seed);

}  // namespace shine
