#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "app/adapt/context_ids.h"
#include "app/adapt/export_adapter.h"
#include "app/adapt/named_contexts.h"
#include "app/train/rank.h"
#include "shine/app/builders.h"
#include "shine/common/api.h"

namespace shine {

/// What is exported, and how.
struct ContextsToExport {
  std::vector<IdentifiedContext> contexts;
  std::filesystem::path output;  ///< folder
  ExportOptions options;
  LongContext over_long = LongContext::error;
};

/// How an export of many contexts ended.
struct ContextsExported {
  std::size_t contexts = 0, kept = 0;  ///< in all; of these, adapters that were there before
  std::string stopped_by;              ///< the signal; empty: all are written
};

/// An adapter for each context in the folder, named by its id (with format gguf, ID.gguf), evaluation.batch_size
/// at a time. Those that are there already and have the same identity are kept. Holds the stop signals: the batch at
/// work is finished. Every rank of the job calls it; batches are shared out.
///
/// Throws as encode_context and check_export before anything is written; ConfigError where the folder holds an adapter
/// of another identity or of other options; what writing throws.
SHINE_API ContextsExported export_contexts(const ExperimentConfig& config, const WeightsSource& weights,
                                           const ContextsToExport& request, Rank& rank);

}  // namespace shine
