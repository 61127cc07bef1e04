#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/faults.h"

namespace shine {

/// A YAML value with the place it comes from.
struct YamlNode {
  /// removed: a null that takes an inherited value away.
  enum class Kind { null, scalar, list, map, refused, removed };

  Kind kind = Kind::null;
  std::string key;                 ///< of a map's child
  std::string text;                ///< of a scalar
  bool quoted = false;             ///< a scalar in quotes or a block scalar: never a number or a bool
  std::string place;               ///< of the key, else of the value
  std::size_t layer = 0;           ///< of its source
  std::vector<YamlNode> children;  ///< of a list or a map

  const YamlNode* find(std::string_view name) const;
};

/// Names places in a text: "configs/x.yaml:12", or the bare name for a text of one line.
struct YamlSource {
  std::string name;
  bool has_lines = true;
  std::size_t layer = 0;  ///< a source that overrides others has a larger one

  std::string place(int line_from_zero) const;
};

/// Parses one YAML document; an empty text is a null node. Duplicate keys, anchors, aliases and tags are added to
/// `faults` and their values marked `refused`. What cannot be parsed, several documents, a tab in the indentation,
/// control characters, bytes that are not UTF-8, nesting deeper than 16 and more than 10000 values throw ConfigError.
YamlNode parse_yaml(const std::string& text, const YamlSource& source, Faults& faults);

}  // namespace shine
