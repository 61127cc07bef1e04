#include "eval/qa/qa_contexts.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string_view>

#include "common/hash.h"
#include "common/random.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// What random numbers are drawn for.
enum Purpose : std::uint64_t { kSubset = 1, kGroups, kOthers };

/// Indices below `count` that are drawn, ascending.
std::vector<std::size_t> draw(std::size_t count, const QaSelection& selection) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  const auto limit = static_cast<std::size_t>(selection.limit);
  if (limit == 0 || limit >= count) return indices;
  Random::stream(selection.seed, {kSubset}).shuffle(indices);
  indices.resize(limit);
  std::sort(indices.begin(), indices.end());
  return indices;
}

void check_ids(const std::vector<QaItem>& items) {
  std::set<std::string_view> ids;
  for (const QaItem& item : items) {
    if (ids.insert(item.id).second) continue;
    throw ConfigError("two items have the id '" + item.id + "'", "evaluation.data", "give every item an id of its own");
  }
}

/// The turns of one conversation.
std::vector<QaQuestion> turns_of(const std::vector<ChatMessage>& conversation) {
  QaItem alone;
  alone.conversations = {conversation};
  return questions_of(alone);
}

template <class Item>
void append(std::vector<Item>& to, const std::vector<Item>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// One context of several, in order.
QaContext join_contexts(std::vector<QaContext> parts) {
  QaContext joined = std::move(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    append(joined.texts, parts[i].texts);
    append(joined.dialogues, parts[i].dialogues);
    append(joined.sft_conversations, parts[i].sft_conversations);
  }
  if (parts.size() > 1) joined.id += str("+", parts.size() - 1);
  return joined;
}

}  // namespace

std::string QaContext::joined() const {
  std::string text = texts.front();
  for (std::size_t i = 1; i < texts.size(); ++i) text.append(separator).append(texts[i]);
  return text;
}

std::size_t QaContext::questions() const {
  std::size_t total = 0;
  for (const auto& dialogue : dialogues) total += dialogue.size();
  return total;
}

std::vector<QaContext> multi_turn_contexts(const std::vector<QaItem>& items, const QaSelection& selection) {
  check_ids(items);
  std::vector<QaContext> contexts;
  for (const std::size_t index : draw(items.size(), selection)) {
    const QaItem& item = items[index];
    QaContext context{item.id, item.source, {item.context}, {}, item.sft_conversations};
    for (const auto& conversation : item.conversations) context.dialogues.push_back(turns_of(conversation));
    if (!item.questions.empty()) context.dialogues.push_back(item.questions);
    contexts.push_back(std::move(context));
  }
  return contexts;
}

std::vector<QaContext> one_question_contexts(const std::vector<QaItem>& items, const QaSelection& selection) {
  check_ids(items);
  std::vector<QaContext> contexts;
  std::map<std::string_view, std::size_t> places;  // by text
  std::vector<std::size_t> merged;                 // items of each context
  std::vector<std::pair<std::size_t, QaQuestion>> questions;
  for (const QaItem& item : items) {
    const auto [place, fresh] = places.emplace(item.context, contexts.size());
    if (fresh) {
      contexts.push_back({item.id, item.source, {item.context}, {}, {}});
      merged.push_back(0);
    }
    ++merged[place->second];
    append(contexts[place->second].sft_conversations, item.sft_conversations);
    for (QaQuestion& question : questions_of(item)) questions.emplace_back(place->second, std::move(question));
  }
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    if (merged[i] > 1) contexts[i].id += str("+", merged[i] - 1);
  }
  for (const std::size_t index : draw(questions.size(), selection)) {
    contexts[questions[index].first].dialogues.push_back({std::move(questions[index].second)});
  }
  std::erase_if(contexts, [](const QaContext& context) { return context.dialogues.empty(); });
  return contexts;
}

std::vector<std::int64_t> context_ids(const QaContext& context, const Tokenizer& tokenizer, SpecialTokens treatment) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < context.texts.size(); ++i) {
    if (i > 0) ids.push_back(require_token(tokenizer, context.separator));
    append(ids, tokenizer.encode(context.texts[i], treatment).ids);
  }
  return ids;
}

std::vector<QaContext> group_contexts(std::vector<QaContext> contexts, std::int64_t tokens, std::uint64_t seed,
                                      const Tokenizer& tokenizer, SpecialTokens treatment, std::string_view separator) {
  for (QaContext& context : contexts) context.separator = separator;
  if (contexts.empty()) return contexts;
  const auto wanted = static_cast<std::size_t>(tokens);
  std::size_t total = contexts.size() - 1;  // separators
  for (const QaContext& context : contexts) total += context_ids(context, tokenizer, treatment).size();
  const std::size_t groups = std::min((total + wanted - 1) / wanted, contexts.size());
  Random::stream(seed, {kGroups}).shuffle(contexts);
  std::vector<QaContext> joined;
  auto next = std::make_move_iterator(contexts.begin());
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t count = contexts.size() / groups + (group < contexts.size() % groups ? 1 : 0);
    joined.push_back(join_contexts({next, next + static_cast<std::ptrdiff_t>(count)}));
    next += static_cast<std::ptrdiff_t>(count);
  }
  return joined;
}

std::vector<std::size_t> other_contexts(const std::vector<QaContext>& contexts, std::uint64_t seed) {
  std::map<std::string, std::size_t> number;  // of each different text
  std::vector<std::size_t> first, text_of;    // its first context; each context's text
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const auto [place, fresh] = number.emplace(contexts[i].joined(), first.size());
    if (fresh) first.push_back(i);
    text_of.push_back(place->second);
  }
  SHINE_CHECK(first.size() > 1, ConfigError,
              "method shuffled: it takes the LoRA of another context, and there is only one (test on more data, or "
              "leave shuffled out of evaluation.baselines)");
  std::vector<std::size_t> order(first.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random::stream(seed, {kOthers}).shuffle(order);
  std::vector<std::size_t> successor(first.size());
  for (std::size_t i = 0; i < order.size(); ++i) successor[order[i]] = order[(i + 1) % order.size()];
  std::vector<std::size_t> others;
  for (const std::size_t text : text_of) others.push_back(first[successor[text]]);
  return others;
}

std::vector<QaBatch> make_batches(const std::vector<QaContext>& contexts, std::int64_t rows) {
  const auto most = static_cast<std::size_t>(rows);
  std::vector<QaBatch> batches;
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const std::size_t lanes = std::min(most, contexts[i].dialogues.size());
    if (!batches.empty()) {
      QaBatch& last = batches.back();
      const std::size_t joint = std::max(last.lanes, lanes);
      if ((last.contexts.size() + 1) * joint <= most) {
        last.contexts.push_back(i);
        last.lanes = joint;
        continue;
      }
    }
    batches.push_back({{i}, lanes});
  }
  return batches;
}

std::uint64_t fingerprint_of(const std::vector<QaContext>& contexts) {
  Fnv1a hash;
  const auto add = [&](const std::string& text) { hash.add(std::uint64_t{text.size()}).add_bytes(text); };
  const auto count = [&](const auto& list) { hash.add(std::uint64_t{list.size()}); };
  count(contexts);
  for (const QaContext& context : contexts) {
    add(context.id);
    add(context.source);
    count(context.texts);
    for (const std::string& text : context.texts) add(text);
    count(context.dialogues);
    for (const auto& dialogue : context.dialogues) {
      count(dialogue);
      for (const QaQuestion& turn : dialogue) {
        add(turn.question);
        count(turn.answers);
        for (const std::string& answer : turn.answers) add(answer);
      }
    }
    count(context.sft_conversations);
    for (const auto& conversation : context.sft_conversations) {
      count(conversation);
      for (const ChatMessage& message : conversation) {
        add(message.role);
        add(message.content);
      }
    }
  }
  return hash.value();
}

}  // namespace shine
