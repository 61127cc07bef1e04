#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shine {

/// What packing did, for the log.
struct PackingReport {
  std::size_t texts = 0;
  std::size_t groups = 0;
  /// Texts too long for a conversation, each a group by itself that will be cut.
  std::size_t over_long = 0;
  /// Tokens that will be cut from them.
  std::int64_t tokens_cut = 0;
  /// Used share of groups * max_cost, in 0 .. 1.
  double fill = 0;
};

/// Texts, as indices, in groups.
struct TextGroups {
  std::vector<std::vector<std::size_t>> groups;
  PackingReport report;
};

/// Greedy packing with at most `open_groups` open groups. A text goes to the first place that has room; where none has,
/// the fullest group (the first of equals) is closed and the text opens a new one in its place. A text that costs more
/// than `max_cost` is a group by itself at once. The groups come in the order they close; those still open at the end
/// come last, in the order of their places. With `open_groups` 0 every text is a group.
/// @param costs  tokens of each text in a conversation, the template's share included
/// Throws ConfigError unless max_cost is positive.
TextGroups pack_texts(const std::vector<std::int64_t>& costs, std::int64_t max_cost, std::size_t open_groups);

}  // namespace shine
