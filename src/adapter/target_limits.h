#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shine/adapter/adapter_metadata.h"
#include "shine/common/api.h"

namespace shine {

/// A program that an adapter is made for.
enum class AdapterTarget { vllm, sglang, llama_cpp, mlx, peft };
constexpr std::array<std::string_view, 5> config_names(AdapterTarget) {
  return {"vllm", "sglang", "llama.cpp", "mlx", "peft"};
}

/// What limits look at.
struct AdapterShape {
  AdapterFormat format = AdapterFormat::peft;
  std::int64_t rank = 0;
  bool has_c = false;  ///< a term C, a change of a bias, that is not zero
};

/// Why an adapter cannot be written, or the target will not load it, and what helps.
struct LimitFault {
  std::string reason, cure;

  bool operator==(const LimitFault&) const = default;
};

/// All faults: what the format cannot hold and, with a target, what that does not load. All seven projections are
/// among the modules that each target adapts.
SHINE_API std::vector<LimitFault> limit_faults(const AdapterShape& shape, std::optional<AdapterTarget> target);

/// Throws UnsupportedError with all faults in one line.
/// @param where  the adapter or the output, for the message
SHINE_API void require_limits(const AdapterShape& shape, std::optional<AdapterTarget> target, const std::string& where);

/// How the target is told to load the file, a line; for vLLM with the --max-lora-rank that the rank needs.
SHINE_API std::string how_to_load(const AdapterShape& shape, AdapterTarget target, const std::string& path);

}  // namespace shine
