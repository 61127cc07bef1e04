#include "config/config_io.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "config/config_tree.h"
#include "config/field_value.h"
#include "config/quote.h"
#include "config/suggest.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"

namespace shine {
namespace {

std::string leaf_of(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

std::string group_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

/// Lays a tree over the members that a FieldList is bound to.
class TreeReader {
 public:
  TreeReader(const FieldList& list, Faults& faults, WrittenBy writer) : list_(list), faults_(faults), writer_(writer) {}

  ConfigOrigins read(const YamlNode& root) {
    read_group(root, "");
    return std::move(origins_);
  }

  /// Before read(): keys without effect are not suggested in place of unknown ones, where others are as near.
  void prefer(std::set<std::string> keys) { preferred_ = std::move(keys); }

  bool found_unknown() const { return found_unknown_; }

 private:
  void read_group(const YamlNode& group, const std::string& path) {
    for (const YamlNode& child : group.children) {
      const std::string key = path.empty() ? child.key : path + "." + child.key;
      const bool dotted = child.key.find('.') != std::string::npos;
      const bool by_program = writer_ == WrittenBy::program && child.layer < kOverrideLayer;
      const Field* field = dotted ? nullptr : find(list_.fields, key);
      if (field == nullptr && !dotted) {
        field = find_renamed(key);
        if (field != nullptr && !by_program && field->traits.former.refused) field = nullptr;
        if (field != nullptr && !by_program) {
          log_once(LogLevel::warning, str(child.place, ": `", key, "` is now `", field->path, "`"));
        }
      }
      if (field != nullptr) {
        read_key(*field, child);
      } else if (!dotted && find(list_.groups, key) != nullptr) {
        read_subgroup(child, key);
      } else {
        report_unknown(child, path);
      }
    }
  }

  void read_key(const Field& field, const YamlNode& node) {
    // Set before, where present and former name are both there: the later source wins.
    if (const auto known = origins_.layers.find(field.path); known != origins_.layers.end()) {
      if (known->second > node.layer) return;
      if (known->second == node.layer) {
        const std::string& former = field.traits.former.path;
        faults_.add(node.place, str("`", field.path, "` is set twice: `", former, "` is its former name"));
      }
    }
    origins_.layers[field.path] = node.layer;
    if (node.kind == YamlNode::Kind::removed) return;
    origins_.places[field.path] = node.place;
    const bool refused = node.kind == YamlNode::Kind::refused;
    const std::string fault = refused ? "" : read_field(field, node);
    if (!fault.empty()) faults_.add(node.place, fault);
    if (refused || !fault.empty()) origins_.broken.insert(field.path);
  }

  void read_subgroup(const YamlNode& node, const std::string& path) {
    const bool empty = node.kind == YamlNode::Kind::null || node.kind == YamlNode::Kind::removed;
    if (empty || node.kind == YamlNode::Kind::map) {
      read_group(node, path);
      return;
    }
    for (const Field& field : list_.fields) {
      if (field.path.starts_with(path + ".")) origins_.broken.insert(field.path);
    }
    if (node.kind == YamlNode::Kind::refused) return;
    const std::string found = node.kind == YamlNode::Kind::list ? "a list" : quote(node.text);
    faults_.add(node.place, str("`", path, "` is a group: expected keys below it, found ", found));
  }

  void report_unknown(const YamlNode& node, const std::string& group) {
    found_unknown_ = true;
    const std::string path = group.empty() ? node.key : str(group, ".", node.key);
    if (const Field* field = find_renamed(path)) {
      faults_.add(node.place, str("`", path, "` is now `", field->path, "`"));
      break_key(field->path);
      return;
    }
    std::string fault = "unknown key " + quote(node.key);
    const std::vector<std::string> elsewhere = preferred_of(keys_named(node.key));
    const std::string near = nearest_in(node.key, group);
    if (find(list_.fields, node.key) != nullptr) {
      fault += str(": write `", leaf_of(node.key), "` below `", group_of(node.key), ":`");
      break_key(node.key);
    } else if (!elsewhere.empty()) {
      fault += str(group.empty() ? " at the top level" : " in group `" + group + "`", ": did you mean `",
                   join(elsewhere, "` or `"), "`?");
      for (const std::string& key : elsewhere) break_key(key);
    } else if (!near.empty()) {
      fault += str(": did you mean `", near, "`?");
      break_key(group.empty() ? near : group + "." + near);
    } else if (group.empty()) {
      fault += str(": the keys are ", join(names_in(group), ", "));
    } else {
      fault += str(": the keys of `", group, "` are ", join(names_in(group), ", "));
    }
    faults_.add(node.place, fault);
  }

  /// Of full names those of preferred keys, and of groups that hold some; all where none is.
  std::vector<std::string> preferred_of(const std::vector<std::string>& names) const {
    std::vector<std::string> preferred;
    std::copy_if(names.begin(), names.end(), std::back_inserter(preferred), [&](const std::string& name) {
      const auto first = preferred_.lower_bound(name);
      if (first != preferred_.end() && *first == name) return true;
      const auto below = preferred_.lower_bound(name + ".");
      return below != preferred_.end() && below->starts_with(name + ".");
    });
    return preferred.empty() ? names : preferred;
  }

  /// The nearest preferred name in a group, or else the nearest of all.
  std::string nearest_in(const std::string& name, const std::string& group) const {
    std::vector<std::string> full = names_in(group);
    for (std::string& each : full) each.insert(0, group.empty() ? "" : group + ".");
    std::vector<std::string> leaves = preferred_of(full);
    for (std::string& each : leaves) each = leaf_of(each);
    const std::string near = nearest_name(name, leaves);
    return near.empty() ? nearest_name(name, names_in(group)) : near;
  }

  /// The key, or all keys of the group.
  void break_key(const std::string& path) {
    for (const Field& field : list_.fields) {
      if (field.path == path || field.path.starts_with(path + ".")) origins_.broken.insert(field.path);
    }
  }

  std::vector<std::string> names_in(const std::string& group) const {
    std::vector<std::string> names;
    const auto add = [&](const auto& items) {
      for (const auto& item : items) {
        if (group_of(item.path) == group) names.push_back(leaf_of(item.path));
      }
    };
    add(list_.groups);
    add(list_.fields);
    return names;
  }

  /// Full names of the keys and groups that have this name in any group.
  std::vector<std::string> keys_named(const std::string& name) const {
    std::vector<std::string> keys;
    const auto add = [&](const auto& items) {
      for (const auto& item : items) {
        if (leaf_of(item.path) == name) keys.push_back(item.path);
      }
    };
    add(list_.fields);
    add(list_.groups);
    return keys;
  }

  template <class Item>
  static const Item* find(const std::vector<Item>& items, const std::string& path) {
    const auto item = std::find_if(items.begin(), items.end(), [&](const Item& other) { return other.path == path; });
    return item == items.end() ? nullptr : &*item;
  }

  const Field* find_renamed(const std::string& former) const {
    for (const Field& field : list_.fields) {
      if (!former.empty() && field.traits.former.path == former) return &field;
    }
    return nullptr;
  }

  const FieldList& list_;
  Faults& faults_;
  WrittenBy writer_;
  std::set<std::string> preferred_;
  bool found_unknown_ = false;
  ConfigOrigins origins_;
};

/// The keys that the present values give an effect, those of training alone where it has some.
std::set<std::string> keys_in_use(const FieldList& list) {
  std::set<std::string> keys;
  for (const Field& field : list.fields) {
    if (field.traits.read_by != ReadBy::tests) keys.insert(field.path);
  }
  for (const UnusedKey& unused : unused_fields(list)) keys.erase(unused.key);
  return keys;
}

}  // namespace

std::string ConfigOrigins::place(const std::string& key) const {
  const auto found = places.find(key);
  return found == places.end() ? file : found->second;
}

std::size_t ConfigOrigins::layer(const std::string& key) const {
  const auto found = layers.find(key);
  return found == layers.end() ? 0 : found->second;
}

bool ConfigOrigins::is_overridden(const std::string& key) const {
  return layer(key) == kOverrideLayer;
}

bool ConfigOrigins::is_set_in_file(const std::string& key) const {
  return layer(key) == kLongestChain;
}

ConfigOrigins read_fields(const FieldList& list, const std::filesystem::path& file,
                          const std::vector<std::string>& overrides, Faults& faults, WrittenBy writer) {
  const YamlNode root = load_config_tree(file, overrides, faults);
  // What an unknown key was meant for depends on the values of others, such as stage.name: they are read before.
  Faults ignored;
  TreeReader values(list, ignored, writer);
  values.read(root);
  TreeReader reader(list, faults, writer);
  if (values.found_unknown()) reader.prefer(keys_in_use(list));
  ConfigOrigins origins = reader.read(root);
  origins.file = file.string();
  return origins;
}

}  // namespace shine
