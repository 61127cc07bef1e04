#include "adapter/raw_adapter.h"

#include <nlohmann/json.hpp>

#include "adapter/adapter_forms.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {

PairLayout layout_of(AdapterFormat format) {
  return format == AdapterFormat::peft || format == AdapterFormat::gguf ? PairLayout::transposed : PairLayout::ours;
}

std::vector<std::pair<std::string, std::string>> metadata_pairs(const AdapterMetadata& metadata) {
  std::vector<std::pair<std::string, std::string>> pairs{{"shine.identity", metadata.identity},
                                                         {"shine.backbone", metadata.backbone},
                                                         {"shine.base_model", metadata.base_model},
                                                         {"shine.tool", metadata.tool}};
  std::erase_if(pairs, [](const auto& pair) { return pair.second.empty(); });
  return pairs;
}

RawAdapter read_raw_adapter(const std::filesystem::path& path, const DecoderConfig& config) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  SHINE_CHECK(fs::exists(status), IoError, path.string(), ": no such file or folder");
  if (!fs::is_directory(status)) {
    if (path.extension() == ".gguf") return read_gguf_lora(path, config);
    throw FormatError("is no adapter", path.string(),
                      "name the folder that PEFT, MLX or shine_export wrote, or a .gguf file");
  }
  if (fs::exists(path / kOwnFile)) return read_own_form(path, config);
  if (!fs::exists(path / kPeftConfigFile)) {
    throw FormatError(str("there is neither ", kPeftConfigFile, " nor ", kOwnFile), path.string(),
                      "name the folder that PEFT, MLX or shine_export wrote");
  }
  const std::string where = (path / kPeftConfigFile).string();
  const nlohmann::json json = read_json_file(path / kPeftConfigFile);
  if (has_value(json, "peft_type", where)) return read_peft(path, config);
  if (has_value(json, "fine_tune_type", where)) return read_mlx(path, config);
  throw FormatError("has neither peft_type (PEFT) nor fine_tune_type (MLX)", where);
}

}  // namespace shine
