#pragma once

#include <string>
#include <vector>

#include "data/qa/qa_items.h"

namespace shine {

/// A question and the answer to it that is trained.
struct QaTurn {
  std::string question;
  std::string answer;

  bool operator==(const QaTurn&) const = default;
};

/// Turns that belong together: a conversation, or all questions of an item.
using QaThread = std::vector<QaTurn>;

/// What training takes of an item.
struct QaThreads {
  std::string context;
  std::vector<QaThread> threads;

  bool operator==(const QaThreads&) const = default;
};

/// Each conversation of the item is a thread, and its questions, with their first answers, are one.
QaThreads threads_of(QaItem item);

/// Each turn as a thread of its own, in order.
template <class Turn>
std::vector<std::vector<Turn>> single_turns(std::vector<std::vector<Turn>> threads) {
  std::vector<std::vector<Turn>> single;
  for (std::vector<Turn>& thread : threads) {
    for (Turn& turn : thread) single.emplace_back().push_back(std::move(turn));
  }
  return single;
}

}  // namespace shine
