#include "config/config_tree.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <utility>

#include "config/path_variables.h"
#include "config/quote.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = 1U << 20U;
constexpr const char* kBaseKey = "base";

std::string read_small_file(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) throw IoError("no such file", file.string());
  if (error) throw IoError(error.message(), file.string());
  if (status.type() == fs::file_type::directory) throw IoError("is a folder, expected a YAML file", file.string());
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw IoError("cannot be opened", file.string());
  std::string text;
  for (std::array<char, 4096> chunk; stream && text.size() <= kLargestFile;) {
    stream.read(chunk.data(), chunk.size());
    text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad()) throw IoError("cannot be read", file.string());
  if (text.size() > kLargestFile) throw ConfigError("larger than 1 MiB, not a config", file.string());
  return text;
}

/// Merges `over` into `under`: maps key by key; anything else is replaced, or removed by a null.
void merge(YamlNode& under, YamlNode over) {
  for (YamlNode& child : over.children) {
    const auto same = std::find_if(under.children.begin(), under.children.end(),
                                   [&](const YamlNode& other) { return other.key == child.key; });
    if (same == under.children.end()) {
      under.children.push_back(std::move(child));
    } else if (same->kind == YamlNode::Kind::map && child.kind == YamlNode::Kind::map) {
      merge(*same, std::move(child));
    } else if (same->kind != YamlNode::Kind::map || child.kind != YamlNode::Kind::null) {
      *same = std::move(child);
      if (same->kind == YamlNode::Kind::null) same->kind = YamlNode::Kind::removed;
    }
  }
}

YamlNode parse_file(const fs::path& file, std::size_t layer, Faults& faults) {
  const YamlSource source{.name = file.string(), .layer = layer};
  YamlNode root = parse_yaml(read_small_file(file), source, faults);
  if (root.kind == YamlNode::Kind::map) return root;
  if (root.kind == YamlNode::Kind::null) throw ConfigError("holds no keys", file.string());
  throw ConfigError("expected keys (`key: value`) at the top level", root.place);
}

/// Takes the key `base` out of the tree: the file it names, relative to `file`.
std::optional<fs::path> take_base(YamlNode& root, const fs::path& file, Faults& faults, std::string& place) {
  const auto base = std::find_if(root.children.begin(), root.children.end(),
                                 [](const YamlNode& child) { return child.key == kBaseKey; });
  if (base == root.children.end()) return std::nullopt;
  place = base->place;
  const bool named = base->kind == YamlNode::Kind::scalar && !base->text.empty();
  const ExpandedPath expanded = named ? expand_path(base->text) : ExpandedPath{};
  const bool refused = base->kind == YamlNode::Kind::refused;
  root.children.erase(base);
  if (!named) {
    if (!refused) faults.add(place, "`base`: expected the path of another config");
    return std::nullopt;
  }
  if (!expanded.fault.empty()) {
    faults.add(place, str("`base`: ", expanded.fault));
    return std::nullopt;
  }
  return (file.parent_path() / expanded.path).lexically_normal();
}

/// @param chain  the files on the way here, canonical, to detect cycles
YamlNode load_file(const fs::path& file, std::vector<fs::path>& chain, Faults& faults) {
  YamlNode root = parse_file(file, kLongestChain - chain.size(), faults);
  std::error_code ignored;  // a pipe has no canonical name
  chain.push_back(fs::canonical(file, ignored));
  std::string place;
  const std::optional<fs::path> base = take_base(root, file, faults, place);
  if (!base) return root;
  std::error_code error;
  const fs::path target = fs::canonical(*base, error);
  if (error) throw ConfigError(str("base file ", quote(base->string()), ": ", error.message()), place);
  if (std::find(chain.begin(), chain.end(), target) != chain.end()) {
    throw ConfigError(str("base file ", quote(base->string()), " inherits from this file: a cycle"), place);
  }
  if (chain.size() >= kLongestChain) {
    throw ConfigError(str("more than ", kLongestChain, " files inherit from each other"), place);
  }
  YamlNode merged = load_file(*base, chain, faults);
  merge(merged, std::move(root));
  return merged;
}

/// Whether YAML would read a comment in the text of a list, a map or a quoted text, which here may not have one: a `#`
/// outside quotes at the start or behind a blank.
bool has_comment(std::string_view text) {
  char quote = 0;
  bool at_start = true;  // of a value, where a quote opens
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (quote != 0) {
      const bool escapes = quote == '"' ? c == '\\' : text.substr(i, 2) == "''";
      if (escapes) {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
      continue;
    }
    if (c == '#' && (i == 0 || std::string_view(" \t\n\r").find(text[i - 1]) != std::string_view::npos)) return true;
    if (at_start && (c == '"' || c == '\'')) quote = c;
    if (!blank) at_start = c == '[' || c == '{' || c == ',' || c == ':';
  }
  return false;
}

/// The value of an override. A shell's word is no YAML document: where YAML would read a comment or the start of a map,
/// the text stands for itself.
YamlNode parse_value(const std::string& text, const YamlSource& source, Faults& faults) {
  constexpr std::string_view starts_of_yaml = "[{\"'|>&*!%@`";
  const std::size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const bool plain = start == text.size() || starts_of_yaml.find(text[start]) == std::string_view::npos;
  const bool is_list = plain && text.compare(start, 2, "- ") == 0;
  if (!plain || is_list) {
    if (!has_comment(text)) return parse_yaml(text, source, faults);
    throw ConfigError("`#` begins a comment", source.name, "put quotes around the text that holds it");
  }
  const bool ends_as_key = !text.empty() && text.back() == ':';
  if (!has_comment(text) && text.find(": ") == std::string::npos && !ends_as_key) {
    return parse_yaml(text, source, faults);
  }
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return parse_yaml(quoted + "'", source, faults);
}

/// `a.b=value` as the tree {a: {b: value}}.
YamlNode parse_override(const std::string& text, Faults& faults) {
  const YamlSource source{str("override ", quote(text)), false, kOverrideLayer};
  const std::size_t equals = text.find('=');
  const std::string path = text.substr(0, equals);
  const bool has_gap =
      path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string::npos;
  if (equals == std::string::npos || has_gap) throw ConfigError("expected `key.path=value`", source.name);

  const std::string value = text.substr(equals + 1);
  YamlNode node;
  if (value.empty()) {
    node.kind = YamlNode::Kind::scalar;
    node.quoted = true;
  } else {
    node = parse_value(value, source, faults);
  }
  for (std::size_t end = path.size();;) {
    const std::size_t dot = path.rfind('.', end - 1);
    const std::size_t start = dot == std::string::npos ? 0 : dot + 1;
    node.key = path.substr(start, end - start);
    node.place = source.name;
    node.layer = source.layer;
    YamlNode parent;
    parent.kind = YamlNode::Kind::map;
    parent.children.push_back(std::move(node));
    node = std::move(parent);
    if (dot == std::string::npos) return node;
    end = dot;
  }
}

}  // namespace

YamlNode load_config_tree(const fs::path& file, const std::vector<std::string>& overrides, Faults& faults) {
  std::vector<fs::path> chain;
  YamlNode root = load_file(file, chain, faults);
  for (const std::string& text : overrides) {
    try {
      merge(root, parse_override(text, faults));
    } catch (const ConfigError& fault) {
      faults.add({}, fault.what());
    }
  }
  return root;
}

}  // namespace shine
