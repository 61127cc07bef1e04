#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "lora/lora_diagnostics.h"
#include "shine/app/builders.h"
#include "shine/distributed/process_group.h"
#include "train/validation.h"

namespace shine {

/// The vectors generated for contexts, (B, L * M * H), float32, on the CPU, `batch_size` contexts at a time. Rank
/// b % size makes batch b, and every rank gets all. Returns nothing, on every rank, once `stop` (may be absent; asked
/// between batches) gives true on any.
std::optional<at::Tensor> generate_vectors(const Hypernetwork& hypernetwork,
                                           const std::vector<std::vector<std::int64_t>>& contexts,
                                           std::int64_t batch_size, ProcessGroup& group,
                                           const std::function<bool()>& stop = {});

/// Contexts whose LoRAs are compared at validation.
inline constexpr std::size_t kMaxDiagnosedContexts = 16;

/// Stage::diagnostics over the first different contexts of the first validation set, within validation.max_samples
/// samples; absent with validation.diagnostics=false, or with fewer than two.
std::function<std::optional<LoraDiagnostics>(ProcessGroup&, const std::function<bool()>&)> stage_diagnostics(
    const Experiment& experiment, const std::vector<ValidationSet>& validation);

}  // namespace shine
