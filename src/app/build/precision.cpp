#include "app/build/precision.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "shine/common/str.h"
#include "shine/decoder/decoder.h"
#include "shine/hypernetwork/memory_to_params.h"

namespace shine {
namespace {

bool holds_weights(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "model.safetensors") ||
         std::filesystem::exists(folder / "model.safetensors.index.json");
}

bool is_announced_as_bfloat16(const std::filesystem::path& config_json) {
  const nlohmann::json config = read_json_file(config_json);
  const std::string where = config_json.string();
  return get_string_or(config, "dtype", get_string_or(config, "torch_dtype", "", where), where) == "bfloat16";
}

const char* name_of(at::ScalarType type) {
  return type == at::kBFloat16 ? "bfloat16" : "float32";
}

/// Of products whose operands have the type.
std::string products(at::ScalarType type, bool on_gpu, bool tf32) {
  if (type == at::kBFloat16) return "bfloat16";
  return on_gpu && tf32 ? "TF32" : "float32";
}

}  // namespace

at::ScalarType backbone_type(const BackboneConfig& model) {
  if (model.dtype != WeightDtype::automatic) {
    return model.dtype == WeightDtype::bfloat16 ? at::kBFloat16 : at::kFloat;
  }
  const std::filesystem::path folder = model.path;
  const bool narrow =
      holds_weights(folder) ? stored_dtype(folder) == at::kBFloat16 : is_announced_as_bfloat16(folder / "config.json");
  return narrow ? at::kBFloat16 : at::kFloat;
}

std::string describe_precision(const ExperimentConfig& config, c10::DeviceType device) {
  const bool on_gpu = device == c10::DeviceType::CUDA, tf32 = config.ops.tf32;
  const at::ScalarType backbone = backbone_type(config.model);
  std::string text = str("precision: backbone ", name_of(backbone),
                         config.model.dtype == WeightDtype::automatic ? ", as its files have it" : "", ", products in ",
                         products(backbone, on_gpu, tf32));
  if (on_gpu && backbone == at::kFloat && !tf32) {
    text += " (a GPU computes them several times as slowly as in bfloat16: model.dtype=auto, or ops.tf32=true)";
  }
  if (traits_of(config.stage.name).has_hypernetwork) {
    text += str("; the hypernetwork's products in ",
                products(m2p_compute_type(config.hypernetwork.dtype, backbone), on_gpu, tf32));
  }
  return text + "; sums, and what is trained with its gradients and moments, float32\n";
}

}  // namespace shine
