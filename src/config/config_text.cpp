#include <algorithm>
#include <sstream>

#include "config/config_io.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream stream(path);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

std::string indentation(std::size_t level) {
  return std::string(2 * level, ' ');
}

}  // namespace

std::string fields_yaml(const FieldList& list, const std::set<std::string>& skip) {
  std::string text;
  std::vector<std::string> open;  // names of the groups around the last line
  for (const Field& field : list.fields) {
    if (skip.count(field.path) != 0) continue;
    std::vector<std::string> parts = split(field.path);
    const std::string key = parts.back();
    parts.pop_back();
    const auto [same, unused] = std::mismatch(parts.begin(), parts.end(), open.begin(), open.end());
    for (auto level = static_cast<std::size_t>(same - parts.begin()); level < parts.size(); ++level) {
      text += str(indentation(level), parts[level], ":\n");
    }
    text += str(indentation(parts.size()), key, ": ", field_yaml(field), "\n");
    open = std::move(parts);
  }
  return text;
}

std::vector<std::string> compare_fields(const FieldList& a, const FieldList& b,
                                        const std::function<bool(const Field&)>& counts) {
  SHINE_CHECK(a.fields.size() == b.fields.size(), ConfigError, "configs of different types cannot be compared");
  std::vector<std::string> differences;
  for (std::size_t i = 0; i < a.fields.size(); ++i) {
    if (counts && !counts(a.fields[i])) continue;
    const std::string before = field_value(a.fields[i]);
    const std::string after = field_value(b.fields[i]);
    if (before != after) differences.push_back(str(a.fields[i].path, ": ", before, " -> ", after));
  }
  return differences;
}

std::string fields_help(const FieldList& list) {
  constexpr std::size_t column = 44;
  std::string text;
  const auto add_group = [&](const std::string& path) {
    const auto group = std::find_if(list.groups.begin(), list.groups.end(),
                                    [&](const FieldGroup& other) { return other.path == path; });
    if (group != list.groups.end()) text += str(text.empty() ? "" : "\n", group->path, ": ", group->help, "\n");
  };
  std::string open;
  for (const Field& field : list.fields) {
    const std::size_t dot = field.path.rfind('.');
    const std::string group = dot == std::string::npos ? "" : field.path.substr(0, dot);
    if (group != open) add_group(group);
    open = group;
    std::string line = str("  ", field.path.substr(dot + 1), " = ", field_value(field));
    line.resize(std::max(line.size() + 2, column), ' ');
    const std::string limits = field.constraint.text.empty() ? "" : ", " + field.constraint.text;
    const bool rounds = field.traits.resume == kChangesLastBits;
    text += str(line, field.help, " (", field_type(field), limits, rounds ? ", changes last bits" : "", ")\n");
  }
  return text;
}

}  // namespace shine
