#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "shine/app/experiment_config.h"

namespace shine {

/// The type of the backbone's weights in memory. `auto`: bfloat16 where its files hold bfloat16, else float32 (float16
/// is too narrow for generated LoRAs: it is widened). Where no weights are there yet, what its config.json says.
/// Throws what reading these files throws.
at::ScalarType backbone_type(const BackboneConfig& model);

/// A line for the user: in which types a run of this configuration computes, and what that costs on such a device.
std::string describe_precision(const ExperimentConfig& config, c10::DeviceType device);

}  // namespace shine
