#include "data/store/item_ids.h"

#include <algorithm>
#include <cstddef>

#include "data/token_row.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// What follows it, counted from the tokenizer's vocabulary.
enum class Mark : std::int64_t {
  first_question,  ///< of a thread
  next_question,
  answer,
};

}  // namespace

ItemIds tokenize_item(const QaThreads& item, const Tokenizer& tokenizer, SpecialTokens treatment) {
  const auto encode = [&](const std::string& text) { return tokenizer.encode(text, treatment).ids; };
  ItemIds result{encode(item.context), {}};
  for (const QaThread& thread : item.threads) {
    auto& turns = result.threads.emplace_back();
    for (const QaTurn& turn : thread) turns.push_back({encode(turn.question), encode(turn.answer)});
  }
  return result;
}

Ids item_document(const ItemIds& item, std::int64_t vocabulary) {
  Ids ids = item.context;
  const auto add = [&](Mark mark, const Ids& text) {
    ids.push_back(vocabulary + static_cast<std::int64_t>(mark));
    append(ids, text);
  };
  for (const auto& thread : item.threads) {
    Mark mark = Mark::first_question;
    for (const ItemIds::Turn& turn : thread) {
      add(mark, turn.question);
      add(Mark::answer, turn.answer);
      mark = Mark::next_question;
    }
  }
  return ids;
}

ItemIds read_item_document(std::span<const std::int64_t> ids, std::int64_t vocabulary, const std::string& where) {
  const auto fail = [&] {
    throw FormatError("damaged: contexts, questions and answers are in no order", where,
                      "write the store again: shine_prepare text --questions");
  };
  const auto is_mark = [&](std::int64_t id) { return id >= vocabulary; };
  auto place = std::ranges::find_if(ids, is_mark);
  ItemIds item{{ids.begin(), place}, {}};
  bool is_asked = false;
  while (place != ids.end()) {
    const auto mark = static_cast<Mark>(*place - vocabulary);
    const auto begin = place + 1;
    place = std::find_if(begin, ids.end(), is_mark);
    Ids text(begin, place);
    if (*(begin - 1) >= vocabulary + kItemMarks || is_asked != (mark == Mark::answer)) fail();
    if (mark == Mark::answer) {
      item.threads.back().back().answer = std::move(text);
    } else {
      if (mark == Mark::first_question) item.threads.emplace_back();
      if (item.threads.empty()) fail();
      item.threads.back().push_back({std::move(text), {}});
    }
    is_asked = !is_asked;
  }
  if (is_asked || item.threads.empty()) fail();
  return item;
}

QaThread decode_thread(std::span<const ItemIds::Turn> turns, const Tokenizer& tokenizer) {
  QaThread thread;
  for (const ItemIds::Turn& turn : turns) {
    thread.push_back({tokenizer.decode(turn.question), tokenizer.decode(turn.answer)});
  }
  return thread;
}

}  // namespace shine
