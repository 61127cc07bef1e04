#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config_io.h"
#include "shine/app/experiment_config.h"
#include "shine/common/api.h"

namespace shine {

/// The configuration beside a checkpoint's weights; nothing where there is none (as in the published layout) or it
/// cannot be read.
/// @param path  a run's folder, finished or not, or a checkpoint
std::optional<ExperimentConfig> config_of_weights(const std::filesystem::path& path);

/// What take_trained_sizes did, for the log.
struct TrainedSizes {
  std::filesystem::path source;        ///< the folder of the weights; empty where they have no configuration
  std::vector<std::string> taken;      ///< "hypernetwork.lora_rank=8"
  std::vector<std::string> differing;  ///< keys that were kept and differ: "hypernetwork.generated_scale=0.1"
};

/// Gives the keys hypernetwork.* the values that the weights were trained with, so that what was chosen for one stage
/// holds for the next and for tests: the weights are those of stage.init_from (before they exist or where they are
/// gone, of run.dir), for a test those of evaluation.checkpoint or run.dir. A key that an override sets is kept, and so
/// are generated_scale and reshape, which fit any weights, where the file itself sets them. dtype and cuda_graph are no
/// such keys. Of a second Meta-LoRA, which a stage joins to the first, the rank is added.
SHINE_API TrainedSizes take_trained_sizes(ExperimentConfig& config, const ConfigOrigins& origins, ConfigUse use);

/// The same with the weights named.
TrainedSizes take_trained_sizes(ExperimentConfig& config, const ConfigOrigins& origins, ConfigUse use,
                                const std::filesystem::path& weights);

/// Tells about the keys: those taken at level info, those that differ as a warning.
SHINE_API void log_trained_sizes(const TrainedSizes& sizes);

/// Which hypernetwork.* keys of the configuration must get other values to fit the weights, " (copy ..)"; empty where
/// none is known.
std::string sizes_to_copy(const ExperimentConfig& config, ConfigUse use, const std::filesystem::path& weights);

}  // namespace shine
