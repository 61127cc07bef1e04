#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lora/lora_diagnostics.h"
#include "shine/common/api.h"

namespace shine {

/// Tensors of a checkpoint whose names differ only in the layer.
struct PartStatistics {
  std::string name;  ///< "mem_tokens", "metanetwork.transformer_layers.0", "metalora.attention.q.A"
  std::int64_t tensors = 0, parameters = 0;
  double norm = 0.0;            ///< of all values together (Frobenius), those that are finite
  double largest = 0.0;         ///< highest absolute value among these
  std::int64_t not_finite = 0;  ///< NaN and infinite values
};

/// A context that a LoRA was generated from.
struct InspectedContext {
  std::string name;
  std::int64_t tokens = 0, tokens_cut = 0;
};

/// The change A B that a generated LoRA makes to one weight W.
struct DeltaStatistics {
  std::size_t context = 0;  ///< index among the contexts
  std::int64_t layer = 0;
  Projection projection = Projection::q;
  double norm = 0.0, relative_norm = 0.0;  ///< |A B| and |A B| / |W| (Frobenius)
  double effective_rank = 0.0;             ///< exp of the entropy of the singular values' shares
  std::vector<double> singular_values;     ///< of A B, largest first
};

/// What a checkpoint holds, and the LoRAs it generates for some contexts.
struct Inspection {
  std::string source;  ///< the folder that was read
  std::vector<PartStatistics> parts;
  std::vector<InspectedContext> contexts;
  std::vector<DeltaStatistics> deltas;         ///< by context, layer, projection
  std::optional<LoraDiagnostics> diagnostics;  ///< with two contexts or more
};

/// All of it as Markdown tables, aligned in source, with a heat map.
SHINE_API std::string inspection_markdown(const Inspection& inspection);

/// A row per projection, a column per layer: |A B| / |W|, mean over the contexts, as blocks of eight heights over the
/// logarithm; '.' is zero, '?' a number that is not finite. Empty without deltas.
std::string heat_map(const std::vector<DeltaStatistics>& deltas);

/// A line per part. Names are in quotes.
SHINE_API std::string parts_csv(const Inspection& inspection);

/// A line per context (its number from 1), layer and projection, singular values last.
SHINE_API std::string deltas_csv(const Inspection& inspection);

SHINE_API nlohmann::ordered_json inspection_json(const Inspection& inspection);

}  // namespace shine
