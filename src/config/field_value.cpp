#include "config/field_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>

#include "config/config_tree.h"
#include "config/path_variables.h"
#include "config/quote.h"
#include "shine/common/str.h"

namespace shine {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // clang before 17 does not deduce it

std::string found(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::list: return "a list";
    case YamlNode::Kind::map: return "a group of keys";
    case YamlNode::Kind::scalar: return (node.quoted ? "the string " : "") + quote(node.text);
    default: return "no value";
  }
}

template <class T>
std::string type_phrase(const Constraint& constraint) {
  const std::string suffix = constraint.text.empty() ? "" : " " + constraint.text;
  if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return "an integer" + suffix;
  } else if constexpr (std::is_same_v<T, double>) {
    return "a number" + suffix;
  } else {
    if (!constraint.text.empty()) return constraint.text;
    return constraint.is_path ? "a path" : "a string";
  }
}

/// A value, or why there is none.
template <class T>
struct Parsed {
  std::optional<T> value;
  std::string fault;
};

template <class T>
Parsed<T> expected(const Constraint& constraint, const YamlNode& node) {
  return {std::nullopt, str("expected ", type_phrase<T>(constraint), ", found ", found(node))};
}

template <class T>
Parsed<T> parse_number(const Constraint& constraint, const YamlNode& node) {
  T value{};
  const char* begin = node.text.data();
  const char* const end = begin + node.text.size();
  if (node.text.starts_with('+') && !node.text.starts_with("+-")) ++begin;  // YAML's, which from_chars does not know
  const auto [stop, error] = std::from_chars(begin, end, value);
  const bool good = node.kind == YamlNode::Kind::scalar && !node.quoted && error == std::errc() && stop == end;
  if (!good || !std::isfinite(static_cast<double>(value)) || !constraint.accepts(static_cast<double>(value))) {
    return expected<T>(constraint, node);
  }
  return {value, {}};
}

Parsed<bool> parse_bool(const Constraint& constraint, const YamlNode& node) {
  const bool plain = node.kind == YamlNode::Kind::scalar && !node.quoted;
  if (plain && (node.text == "true" || node.text == "True" || node.text == "TRUE")) return {true, {}};
  if (plain && (node.text == "false" || node.text == "False" || node.text == "FALSE")) return {false, {}};
  return expected<bool>(constraint, node);
}

Parsed<std::string> parse_string(const Constraint& constraint, const YamlNode& node) {
  const bool good = node.kind == YamlNode::Kind::scalar && node.text.find('\0') == std::string::npos;
  if (!good || !constraint.accepts(std::string_view(node.text))) return expected<std::string>(constraint, node);
  if (!constraint.is_path) return {node.text, {}};
  const bool is_override = node.layer == kOverrideLayer;
  ExpandedPath expanded = expand_path(node.text, is_override ? PathOrigin::override_text : PathOrigin::file);
  if (!expanded.fault.empty()) return {std::nullopt, std::move(expanded.fault)};
  return {std::move(expanded.path), {}};
}

template <class T>
Parsed<T> parse_scalar(const Constraint& constraint, const YamlNode& node) {
  if constexpr (std::is_same_v<T, bool>) {
    return parse_bool(constraint, node);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return parse_string(constraint, node);
  } else {
    return parse_number<T>(constraint, node);
  }
}

template <class T>
std::string key_fault(const std::string& key, const Parsed<T>& parsed) {
  return str("`", key, "`: ", parsed.fault);
}

template <class T>
std::string read_scalar(const Field& field, const YamlNode& node, T& member) {
  Parsed<T> parsed = parse_scalar<T>(field.constraint, node);
  if (!parsed.value) return key_fault(field.path, parsed);
  member = std::move(*parsed.value);
  return {};
}

template <class T>
std::string read_list(const Field& field, const YamlNode& node, std::vector<T>& member) {
  if (node.kind != YamlNode::Kind::list) {
    return str("`", field.path, "`: expected a ", field_type(field), " ([a, b]), found ", found(node));
  }
  std::vector<T> items;
  for (const YamlNode& child : node.children) {
    Parsed<T> parsed = parse_scalar<T>(field.constraint, child);
    const bool unnamed = field.constraint.is_path && child.text.empty();
    if (unnamed) parsed = expected<T>(field.constraint, child);
    if (!parsed.value) return key_fault(str(field.path, "[", items.size(), "]"), parsed);
    items.push_back(std::move(*parsed.value));
  }
  member = std::move(items);
  return {};
}

std::string read_enum(const Field& field, const YamlNode& node, const EnumMember& member) {
  const auto name = std::find(member.names.begin(), member.names.end(), node.text);
  if (node.kind != YamlNode::Kind::scalar || name == member.names.end()) {
    return str("`", field.path, "`: expected one of ", join(member.names, ", "), ", found ", found(node));
  }
  member.set(member.member, static_cast<std::size_t>(name - member.names.begin()));
  return {};
}

template <class T>
std::string type_name(const Constraint& constraint) {
  if constexpr (std::is_same_v<T, bool>) {
    return "true | false";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return "integer";
  } else if constexpr (std::is_same_v<T, double>) {
    return "number";
  } else {
    return constraint.is_path ? "path" : "string";
  }
}

std::string yaml_text(bool value) {
  return value ? "true" : "false";
}

template <class T>
requires(std::is_same_v<T, int64_t> || std::is_same_v<T, double>) std::string yaml_text(T value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

/// What a reader of YAML 1.1 or 1.2 takes for a number, a date, a truth value or nothing, where it has no quotes.
bool reads_as_another_type(const std::string& value) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t first = value.front() == '.' ? 1 : 0;
  if (first < value.size() && is_digit(value[first])) return true;
  std::string word;
  for (const char c : value) word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  constexpr std::array<std::string_view, 11> words = {"null", "true", "false", "yes",  "no",  "on",
                                                      "off",  "y",    "n",     ".inf", ".nan"};
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool needs_quotes(const std::string& value) {
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '/' ||
           c == '.' || c == '-';
  };
  if (value.empty() || value.front() == '-' || value == "..." || !std::all_of(value.begin(), value.end(), is_word)) {
    return true;
  }
  return reads_as_another_type(value);
}

std::string yaml_text(const std::string& value) {
  if (!needs_quotes(value)) return value;
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte < ' ' || byte == 0x7F) {
      text += "\\x";
      text += digits[byte >> 4U];
      text += digits[byte & 15U];
    } else {
      text += c;
    }
  }
  return text + "\"";
}

/// With a point in every number that has an exponent: without one it is a string in YAML 1.1.
std::string file_text(double value) {
  std::string text = yaml_text(value);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}

template <class T>
std::string file_text(const T& value) {
  return yaml_text(value);
}

}  // namespace

std::string read_field(const Field& field, const YamlNode& node) {
  return std::visit(Overloaded{
                        [&](const EnumMember& member) { return read_enum(field, node, member); },
                        [&]<class T>(std::vector<T>* member) { return read_list(field, node, *member); },
                        [&](auto* member) { return read_scalar(field, node, *member); },
                    },
                    field.member);
}

std::string field_type(const Field& field) {
  return std::visit(Overloaded{
                        [](const EnumMember& member) { return join(member.names, " | "); },
                        [&]<class T>(std::vector<T>*) { return "list of " + type_name<T>(field.constraint) + "s"; },
                        [&]<class T>(T*) { return type_name<T>(field.constraint); },
                    },
                    field.member);
}

void copy_value(const Field& from, const Field& to) {
  std::visit(Overloaded{
                 [&](const EnumMember& member) {
                   const auto& source = std::get<EnumMember>(from.member);
                   member.set(member.member, source.get(source.member));
                 },
                 [&]<class T>(T* member) { *member = *std::get<T*>(from.member); },
             },
             to.member);
}

std::string field_value(const Field& field) {
  return std::visit(Overloaded{
                        [](const EnumMember& member) { return std::string(member.names[member.get(member.member)]); },
                        []<class T>(std::vector<T>* member) {
                          std::vector<std::string> items;
                          for (const T& item : *member) items.push_back(yaml_text(item));
                          return "[" + join(items, ", ") + "]";
                        },
                        [](const auto* member) { return yaml_text(*member); },
                    },
                    field.member);
}

std::string field_yaml(const Field& field) {
  return std::visit(
      Overloaded{
          [](const EnumMember& member) { return yaml_text(std::string(member.names[member.get(member.member)])); },
          []<class T>(std::vector<T>* member) {
            std::vector<std::string> items;
            for (const T& item : *member) items.push_back(file_text(item));
            return "[" + join(items, ", ") + "]";
          },
          [](const auto* member) { return file_text(*member); },
      },
      field.member);
}

bool has_value(const Field& field, const std::string& text) {
  const auto* const number = std::get_if<double*>(&field.member);
  return number != nullptr ? **number == std::stod(text) : field_value(field) == text;
}

}  // namespace shine
