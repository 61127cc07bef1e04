#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shine/adapter/adapter_metadata.h"
#include "shine/app/experiment_config.h"
#include "shine/checkpoint/weights_source.h"
#include "shine/common/api.h"

namespace shine {

/// Fingerprint of the weights in a backbone's folder, 16 hex digits: ModelFiles::fingerprint. Throws what reading
/// throws.
SHINE_API std::string backbone_fingerprint(const std::filesystem::path& model);

/// Of trained weights: names, types, shapes and samples of all values, 16 hex digits. Throws what read_weights throws.
std::string weights_fingerprint(const WeightsSource& weights);

/// What every adapter of one checkpoint has in common.
struct AdapterSource {
  std::string weights;   ///< weights_fingerprint
  std::string backbone;  ///< backbone_fingerprint
  std::string options;   ///< those that shape the LoRA: see lora_options
};

/// The configuration's options that change which LoRA the same weights generate, as text: the keys hypernetwork.* but
/// for first values and cuda_graph, and model.dtype.
std::string lora_options(const ExperimentConfig& config);

/// Identity of the adapter of a context, 16 hex digits: a hash of its ids and the source. Threads, ranks, batches and
/// the device do not change it.
std::string adapter_identity(const std::vector<std::int64_t>& context, const AdapterSource& source);

/// Throws ConfigError, naming both, where the adapter says that it is for another backbone than the one in `model`. One
/// that says nothing passes.
/// @param where  the adapter, for the message
SHINE_API void require_backbone(const AdapterMetadata& adapter, const std::string& where,
                                const std::filesystem::path& model);

}  // namespace shine
