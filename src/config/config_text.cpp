#include <algorithm>
#include <sstream>

#include "config/config_io.h"
#include "config/quote.h"
#include "config/suggest.h"
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

/// Whether help on `name` has this key.
bool is_asked(const std::string& key, const std::string& name) {
  return name.empty() || key == name || key.starts_with(name + ".") || key.ends_with("." + name);
}

void require_known(const FieldList& list, const std::string& name) {
  if (std::any_of(list.fields.begin(), list.fields.end(), [&](const Field& each) { return is_asked(each.path, name); }))
    return;
  std::vector<std::string> names, top;
  for (const FieldGroup& group : list.groups) {
    names.push_back(group.path);
    if (group.path.find('.') == std::string::npos) top.push_back(group.path);
  }
  for (const Field& field : list.fields) {
    names.push_back(field.path);
    names.push_back(field.path.substr(field.path.rfind('.') + 1));
  }
  const std::string near = nearest_name(name, names);
  const std::string meant = near.empty() ? "" : str(": did you mean `", near, "`?");
  throw ConfigError(
      str("no group and no key is called ", quote(name), meant, " (the groups are ", join(top, ", "), ")"));
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

std::string fields_help(const FieldList& list, const std::string& name) {
  constexpr std::size_t column = 44;
  require_known(list, name);
  std::string text;
  const auto add_group = [&](const std::string& path) {
    const auto group = std::find_if(list.groups.begin(), list.groups.end(),
                                    [&](const FieldGroup& other) { return other.path == path; });
    if (group != list.groups.end()) text += str(text.empty() ? "" : "\n", group->path, ": ", group->help, "\n");
  };
  std::string open;
  for (const Field& field : list.fields) {
    if (!is_asked(field.path, name)) continue;
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
