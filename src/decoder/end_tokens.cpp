#include "decoder/end_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {

std::vector<std::int64_t> read_end_tokens(const std::filesystem::path& config_json) {
  constexpr const char* key = "eos_token_id";
  const std::filesystem::path generation = config_json.parent_path() / "generation_config.json";
  const std::filesystem::path& path = std::filesystem::exists(generation) ? generation : config_json;
  const std::string where = path.string();
  const nlohmann::json root = read_json_file(path);
  std::vector<std::int64_t> ids;
  if (!has_value(root, key, where)) return ids;
  const nlohmann::json& value = root[key];
  const auto add = [&](const nlohmann::json& id) {
    if (!id.is_number_integer())
      throw FormatError(str(key, ": expected a token id or several, found ", id.type_name()), where);
    const auto number = id.get<std::int64_t>();
    if (std::find(ids.begin(), ids.end(), number) == ids.end()) ids.push_back(number);
  };
  if (!value.is_array()) add(value);
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) add(value[i]);
  std::erase_if(ids, [](std::int64_t id) { return id < 0; });  // -1 stands for none
  return ids;
}

}  // namespace shine
