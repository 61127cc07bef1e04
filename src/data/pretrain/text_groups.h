#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
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

/// Greedy packing of texts that come one by one, with at most `open_groups` open groups in memory. A text goes to the
/// first place that has room; where none has, the fullest group (the first of equals) is closed and the text opens a
/// new one in its place. A text that costs more than `max_cost` is a group by itself at once. The groups come in the
/// order they close; those still open at the end come last, in the order of their places. With `open_groups` 0 every
/// text is a group.
class TextPacker {
 public:
  using Take = std::function<void(std::span<const std::size_t> texts)>;

  /// @param take  called for each group that closes
  /// Throws ConfigError unless max_cost is positive.
  TextPacker(std::int64_t max_cost, std::size_t open_groups, Take take);

  /// @param cost  tokens of the text in a conversation, the template's share included
  void add(std::size_t text, std::int64_t cost);

  /// Closes what is open. Nothing may be added any more.
  PackingReport finish();

 private:
  struct OpenGroup {
    std::vector<std::size_t> texts;
    std::int64_t room = 0;
  };
  void close(std::span<const std::size_t> texts);

  std::int64_t max_cost_;
  std::size_t open_groups_;
  Take take_;
  std::vector<OpenGroup> places_;
  std::int64_t used_ = 0;
  PackingReport report_;
};

/// The same for texts at hand.
/// @param costs  of each text, as for TextPacker::add
TextGroups pack_texts(const std::vector<std::int64_t>& costs, std::int64_t max_cost, std::size_t open_groups);

}  // namespace shine
