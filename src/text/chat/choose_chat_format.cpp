#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"
#include "shine/text/chat_format.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kKey = "text.chat_format";
constexpr const char* kCure = "set it to chatml, llama3, mistral or none, whichever the model was trained with";
constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;

/// What stands between `{{` and `}}` or `{%` and `%}`, with double quotes around strings and no white space but in
/// them, so that spelling does not matter.
std::string expressions_of(std::string_view text) {
  std::string result;
  for (;;) {
    const std::size_t begin = std::min(text.find("{{"), text.find("{%"));
    if (begin == std::string_view::npos) return result;
    const std::string_view end = text[begin + 1] == '{' ? "}}" : "%}";
    text.remove_prefix(begin + 2);
    char quote = 0;
    for (; !text.empty() && (quote != 0 || !text.starts_with(end)); text.remove_prefix(1)) {
      const char c = text.front();
      const bool is_delimiter = quote == 0 ? c == '"' || c == '\'' : c == quote;
      if (is_delimiter) quote = quote == 0 ? c : 0;
      if (is_delimiter) {
        result += '"';
      } else if (quote != 0 || (c != ' ' && c != '\n' && c != '\r' && c != '\t')) {
        result += c;
      }
    }
    result += '\n';
  }
}

std::optional<ChatFormat> detect_llama3(std::string_view text) {
  const bool has_cutoff = text.find("Cutting Knowledge Date") != std::string_view::npos;
  const bool dated = text.find("Cutting Knowledge Date: December 2023") != std::string_view::npos &&
                     text.find("26 Jul 2024") != std::string_view::npos;
  if (has_cutoff != dated || text.find("<|eot_id|>") == std::string_view::npos) return std::nullopt;
  ChatFormat format = llama3_format(dated);
  format.trims_answers = format.trims_others = expressions_of(text).find("|trim") != std::string::npos;
  return format;
}

/// The three layouts of Mistral's own templates; others have the same markers with other white space.
std::optional<ChatFormat> detect_mistral(std::string_view text) {
  const std::string code = expressions_of(text);
  const auto has = [&](std::string_view part) { return code.find(part) != std::string::npos; };
  const bool spaced = has(R"(" [INST] ")"), spaced_behind = has(R"("[INST] ")"), bare = has(R"("[INST]")");
  const bool end_spaced = has(R"(" [/INST]")"), end_bare = has(R"("[/INST]")");
  if (spaced + spaced_behind + bare != 1 || end_spaced + end_bare != 1) return std::nullopt;
  const bool leads = has(R"(" "+message["content"])");
  const bool trims = has(R"(message["content"]|trim+eos_token)");
  if (!trims && !has(R"(message["content"]+eos_token)")) return std::nullopt;
  std::optional<ChatFormat> format;
  if (spaced && end_spaced && leads) format = mistral_format(MistralVersion::v1);
  if (spaced_behind && end_bare && leads) format = mistral_format(MistralVersion::v3);
  if (bare && end_bare && !leads) format = mistral_format(MistralVersion::v3_tekken);
  if (!format) return std::nullopt;
  format->trims_answers = trims;
  const bool first = has("loop.firstandsystem_message"), last = has("loop.lastandsystem_message");
  if (first && last) return std::nullopt;
  if (first) format->system_place = SystemPlace::first_user;
  if (last) format->system_place = SystemPlace::last_user;
  return format;
}

/// "chatml" of "chatml", "mistral" of "mistral v1".
bool is_of(const ChatFormat& format, ChatFormatChoice choice) {
  return format.name.starts_with(enum_name(choice));
}

std::string end_token_of(const fs::path& folder, const Tokenizer& tokenizer) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path path = folder / name;
    if (!fs::exists(path)) continue;
    const json root = read_json_file(path);
    if (!has_value(root, "eos_token", path.string())) continue;
    const json& node = root["eos_token"];
    const std::string where = str(path.string(), ": eos_token");
    return node.is_object() ? get_string(node, "content", where) : get_string(root, "eos_token", path.string());
  }
  for (const std::string_view token : {kTextEnd, std::string_view("<|end_of_text|>"), std::string_view("</s>")}) {
    if (tokenizer.token_to_id(token)) return std::string(token);
  }
  throw ConfigError("none: the files beside the tokenizer name no eos_token, which ends an answer", kKey,
                    "name it in tokenizer_config.json");
}

ChatFormat named_format(ChatFormatChoice choice, const fs::path& folder, const Tokenizer& tokenizer) {
  switch (choice) {
    case ChatFormatChoice::llama3: return llama3_format(/*dated=*/false);
    case ChatFormatChoice::mistral:
      return mistral_format(tokenizer.token_to_id("[INST]") ? MistralVersion::v3 : MistralVersion::v1);
    case ChatFormatChoice::none: return plain_format(end_token_of(folder, tokenizer));
    case ChatFormatChoice::chatml:
    case ChatFormatChoice::automatic: break;
  }
  return chatml_format();
}

ChatFormat automatic_format(const std::optional<std::string>& text, const std::optional<ChatFormat>& detected,
                            const fs::path& path, const Tokenizer& tokenizer) {
  if (detected) return *detected;
  if (text) throw ConfigError(str(path.string(), ": the chat template is of no known format"), kKey, kCure);
  for (const std::string_view marker : {kMessageStart, kMessageEnd}) {
    if (!tokenizer.token_to_id(marker))
      throw ConfigError(str(path.string(), ": neither a chat template nor the token ", marker, " is there"), kKey,
                        kCure);
  }
  return chatml_format();
}

}  // namespace

std::optional<ChatFormat> detect_chat_format(std::string_view chat_template) {
  const auto has = [&](std::string_view marker) { return chat_template.find(marker) != std::string_view::npos; };
  const bool chatml = has(kMessageStart), llama3 = has("<|start_header_id|>"), mistral = has("[INST]");
  if (chatml + llama3 + mistral != 1) return std::nullopt;
  if (llama3) return detect_llama3(chat_template);
  if (mistral) return detect_mistral(chat_template);
  if (!has(kMessageEnd) || has("<|im_sep|>")) return std::nullopt;
  return chatml_format();
}

std::optional<std::string> read_chat_template(const fs::path& tokenizer) {
  const fs::path text = tokenizer / "chat_template.jinja", config = tokenizer / "tokenizer_config.json";
  if (fs::exists(text)) return read_text_file(text, kMaxTemplateBytes);
  if (!fs::exists(config)) return std::nullopt;
  const json root = read_json_file(config);
  constexpr const char* key = "chat_template";
  if (!has_value(root, key, config.string())) return std::nullopt;
  if (!root[key].is_array()) return get_string(root, key, config.string());
  const std::string where = str(config.string(), ": ", key);
  for (const json& item : root[key]) {
    if (get_string(item, "name", where) == "default") return get_string(item, "template", where);
  }
  return "";  // a template that nobody uses
}

ChatFormat choose_chat_format(ChatFormatChoice choice, const fs::path& tokenizer_path, const Tokenizer& tokenizer) {
  const std::optional<std::string> text = read_chat_template(tokenizer_path);
  const std::optional<ChatFormat> detected = text ? detect_chat_format(*text) : std::nullopt;
  const bool as_template = choice == ChatFormatChoice::automatic || (detected && is_of(*detected, choice));
  ChatFormat format = as_template ? automatic_format(text, detected, tokenizer_path, tokenizer)
                                  : named_format(choice, tokenizer_path, tokenizer);
  if (!format.begin.empty() && !tokenizer.token_to_id(format.begin))
    throw ConfigError(str(tokenizer_path.string(), ": the tokenizer has no token ", format.begin,
                          ", which a text in the chat format ", format.name, " begins with"),
                      kKey, kCure);
  return format;
}

}  // namespace shine
