#include "text/tokens_beside.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/added_token_json.h"
#include "text/tokenizer_class.h"

namespace shine {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 7> kNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};
constexpr const char* kMoreTokens = "additional_special_tokens";
constexpr const char* kExtraTokens = "extra_special_tokens";

/// A special token by name; one that a file gives as a bare string changes no token that is there already.
struct Special {
  AddedTokenText text;
  bool bare = true;
  bool by_class = false;  // in no file
};

std::int64_t parse_id(const std::string& text, const std::string& where) {
  std::int64_t id = -1;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (fault != std::errc() || end != text.data() + text.size() || id < 0)
    throw FormatError(str(quote_text(text), " is not a token id"), where);
  return id;
}

json read_object(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return json::object();
  json root = read_json_file(path);
  if (!root.is_object()) throw FormatError(str("expected an object, found ", root.type_name()), path.string());
  return root;
}

Special bare_special(std::string content) {
  Special special;
  special.text.token.content = std::move(content);
  special.text.token.special = true;
  return special;
}

class TokenFiles {
 public:
  TokenFiles(const std::filesystem::path& folder, const OwnTokens& own) : folder_(folder), own_(own) {}

  TokensBeside read() {
    const std::filesystem::path path = folder_ / "tokenizer_config.json";
    const std::string where = path.string();
    const json config = read_object(path);
    if (get_bool_or(config, "split_special_tokens", false, where))
      throw UnsupportedError("this program does not support split_special_tokens: true", where,
                             "set it to false; text.special_tokens=escape keeps texts free of special tokens");
    read_names(config, where);
    if (config.contains("added_tokens_decoder")) {
      read_decoder(config, where);
    } else {
      read_special_tokens_map();
      read_added_tokens();
      for (const auto& [token, id] : own_.added) by_id_[id] = {token, token.normalized};
    }
    add_defaults();
    TokensBeside result;
    result.tokens = in_order();
    if (std::filesystem::exists(path) && !(config.contains("add_prefix_space") && config["add_prefix_space"].is_null()))
      result.add_prefix_space = get_bool_or(config, "add_prefix_space", false, where);
    return result;
  }

 private:
  Special read_special(const json& node, const std::string& where) {
    if (!node.is_object() && !node.is_string())
      throw FormatError(str("expected a token, found ", node.type_name()), where);
    Special special = bare_special(node.is_string() ? node.get<std::string>() : "");
    if (node.is_object()) special = {read_added_token(node, where), /*bare=*/false};
    budget_.take(special.text.token.content, where);
    return special;
  }

  void read_more(const json& node, const std::string& where) {
    if (node.is_null()) return;
    if (!node.is_array() && !node.is_object())
      throw FormatError(str("expected tokens, found ", node.type_name()), where);
    for (const json& item : node) more_.push_back(read_special(item, where));
  }

  void read_names(const json& config, const std::string& file) {
    for (const char* name : kNames) {
      if (!config.contains(name)) continue;
      const std::string where = str(file, ": ", name);
      std::optional<Special>& place = by_name_[name];
      place.reset();
      if (!config[name].is_null()) place = read_special(config[name], where);
    }
    for (const char* name : {kMoreTokens, kExtraTokens}) {
      if (config.contains(name)) read_more(config[name], str(file, ": ", name));
    }
  }

  void read_decoder(const json& config, const std::string& file) {
    for (const auto& [key, value] : get_object(config, "added_tokens_decoder", file).items()) {
      const std::string where = str(file, ": added_tokens_decoder: ", quote_text(key));
      const AddedTokenText text = read_added_token(value, where);
      if (text.token.content.empty()) throw FormatError("an added token is empty", where);
      budget_.take(text.token.content, where);
      by_id_[parse_id(key, where)] = text;
    }
  }

  void read_special_tokens_map() {
    const std::filesystem::path path = folder_ / "special_tokens_map.json";
    read_names(read_object(path), path.string());
  }

  /// {"<|im_end|>": 32000, ..}
  void read_added_tokens() {
    const std::filesystem::path path = folder_ / "added_tokens.json";
    const std::string where = path.string();
    const std::set<std::string> special = special_contents();
    const json tokens = read_object(path);
    for (const auto& [content, value] : tokens.items()) {
      const std::int64_t id = get_int(tokens, content, where);
      if (id < 0) throw FormatError(str("the token ", quote_text(content), " has the id ", id), where);
      budget_.take(content, where);
      AddedTokenText text;
      text.token.content = content;
      text.token.special = special.contains(content);
      by_id_[id] = text;
    }
  }

  void add_defaults() {
    const std::string name_of_class = tokenizer_class(folder_);
    for (const auto& [name, content] : default_special_tokens(name_of_class)) {
      Special special = bare_special(content);
      special.by_class = true;
      by_name_.try_emplace(name, special);
    }
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      const auto found = by_name_.find(name);
      const bool is_there = found != by_name_.end() && found->second;
      if (is_there && name_of_class == "Qwen2Tokenizer") found->second->bare = false;  // it gives them plain flags
    }
    if (!own_.pad_token.empty()) by_name_.try_emplace("pad_token", bare_special(own_.pad_token));
  }

  std::set<std::string> special_contents() const {
    std::set<std::string> contents;
    for (const auto& [name, special] : by_name_) {
      if (special) contents.insert(special->text.token.content);
    }
    for (const Special& special : more_) contents.insert(special.text.token.content);
    return contents;
  }

  /// The special tokens by name, each content once. What a file with ids says of a content holds for its names too.
  std::vector<Special> specials() const {
    std::map<std::string, AddedTokenText> described;
    for (const auto& [id, text] : by_id_) described[text.token.content] = text;
    std::vector<Special> result;
    std::set<std::string> seen;
    for (const char* name : kNames) {
      const auto found = by_name_.find(name);
      if (found == by_name_.end() || !found->second) continue;
      const std::string& content = found->second->text.token.content;
      if (!seen.insert(content).second) continue;
      const auto known = described.find(content);
      const bool as_described = known != described.end() && !found->second->by_class;
      result.push_back(as_described ? Special{known->second, /*bare=*/false} : *found->second);
    }
    for (const Special& special : more_) {
      if (seen.insert(special.text.token.content).second) result.push_back(special);
    }
    return result;
  }

  std::vector<TokensBeside::Entry> in_order() const {
    const std::set<std::string> special = special_contents();
    std::set<std::string> known;
    for (const auto& [token, id] : own_.added) known.insert(token.content);
    std::vector<TokensBeside::Entry> entries;
    const auto add = [&](const AddedTokenText& text, std::optional<std::int64_t> id) {
      const std::string& content = text.token.content;
      if (content.empty()) return;
      entries.push_back({text.complete(text.token.special || special.contains(content)), id});
    };
    for (const auto& [id, text] : by_id_) {
      known.insert(text.token.content);
      add(text, id);
    }
    for (const Special& item : specials()) {
      const auto same = [&](const auto& entry) { return entry.second == item.text; };
      const bool there =
          item.bare ? known.contains(item.text.token.content) : std::any_of(by_id_.begin(), by_id_.end(), same);
      if (!there) add(item.text, std::nullopt);
    }
    return entries;
  }

  const std::filesystem::path& folder_;
  const OwnTokens& own_;
  AddedTokenBudget budget_;
  std::map<std::int64_t, AddedTokenText> by_id_;
  std::map<std::string, std::optional<Special>> by_name_;  // null: the key is there, a token is not
  std::vector<Special> more_;
};

}  // namespace

TokensBeside read_tokens_beside(const std::filesystem::path& folder, const OwnTokens& own) {
  return TokenFiles(folder, own).read();
}

}  // namespace shine
