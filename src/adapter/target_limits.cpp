#include "adapter/target_limits.h"

#include <algorithm>

#include "shine/common/error.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

/// The values that vLLM takes for --max-lora-rank; its default is kVllmDefaultRank.
constexpr std::array<std::int64_t, 9> kVllmRanks = {1, 8, 16, 32, 64, 128, 256, 320, 512};
constexpr std::int64_t kVllmDefaultRank = 16;

/// The format that a target reads an adapter in.
AdapterFormat format_of(AdapterTarget target) {
  switch (target) {
    case AdapterTarget::llama_cpp: return AdapterFormat::gguf;
    case AdapterTarget::mlx: return AdapterFormat::mlx;
    case AdapterTarget::vllm:
    case AdapterTarget::sglang:
    case AdapterTarget::peft: return AdapterFormat::peft;
  }
  throw Error("unknown target");
}

bool reads_merged(AdapterTarget target) {
  return target != AdapterTarget::llama_cpp;
}

bool holds_c(AdapterFormat format) {
  return format == AdapterFormat::shine || format == AdapterFormat::merged;
}

}  // namespace

std::vector<LimitFault> limit_faults(const AdapterShape& shape, std::optional<AdapterTarget> target) {
  std::vector<LimitFault> faults;
  if (shape.has_c && !holds_c(shape.format)) {
    faults.push_back({str("the adapter changes biases (its term C, where the backbone has biases), and format ",
                          enum_name(shape.format), " holds none"),
                      "--format merged, or shine for this project's own programs"});
  }
  if (!target) return faults;
  const AdapterFormat format = format_of(*target);
  const bool merged = shape.format == AdapterFormat::merged;
  if (merged && !reads_merged(*target)) {
    faults.push_back({str(enum_name(*target), " reads no Hugging Face folder"),
                      "--format gguf, or convert the merged folder by its convert_hf_to_gguf.py without --for"});
  } else if (!merged && shape.format != format) {
    faults.push_back({str(enum_name(*target), " does not read format ", enum_name(shape.format)),
                      str("--format ", enum_name(format), reads_merged(*target) ? " or merged" : "")});
  }
  if (*target == AdapterTarget::vllm && !merged && shape.rank > kVllmRanks.back()) {
    faults.push_back({str("rank ", shape.rank, ", and vLLM's --max-lora-rank goes up to ", kVllmRanks.back()),
                      str("--max-rank ", kVllmRanks.back(), ", or --format merged")});
  }
  return faults;
}

void require_limits(const AdapterShape& shape, std::optional<AdapterTarget> target, const std::string& where) {
  std::vector<std::string> reasons, cures;
  for (const LimitFault& fault : limit_faults(shape, target)) {
    reasons.push_back(fault.reason);
    if (std::find(cures.begin(), cures.end(), fault.cure) == cures.end()) cures.push_back(fault.cure);
  }
  if (!reasons.empty()) throw UnsupportedError(join(reasons, "; "), where, join(cures, "; "));
}

std::string how_to_load(const AdapterShape& shape, AdapterTarget target, const std::string& path) {
  const bool merged = shape.format == AdapterFormat::merged;
  switch (target) {
    case AdapterTarget::vllm: {
      if (merged) return "vllm serve " + path;
      const auto* const rank = std::lower_bound(kVllmRanks.begin(), kVllmRanks.end(), shape.rank);
      const std::string option =
          shape.rank > kVllmDefaultRank && rank != kVllmRanks.end() ? str(" --max-lora-rank ", *rank) : "";
      return str("vllm serve MODEL --enable-lora", option, " --lora-modules NAME=", path);
    }
    case AdapterTarget::sglang:
      return str("python -m sglang.launch_server --model-path ", merged ? path : "MODEL --lora-paths NAME=" + path);
    case AdapterTarget::llama_cpp: return "llama-server -m MODEL.gguf --lora " + path;
    case AdapterTarget::mlx:
      return str("mlx_lm.generate --model ", merged ? path : "MODEL --adapter-path " + path, " --prompt TEXT");
    case AdapterTarget::peft:
      return merged ? str("AutoModelForCausalLM.from_pretrained(\"", path, "\")")
                    : str("PeftModel.from_pretrained(MODEL, \"", path, "\")");
  }
  throw Error("unknown target");
}

}  // namespace shine
