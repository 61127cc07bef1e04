#include "data/qa/qa_dataset.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "common/hash.h"
#include "data/sampling/random_streams.h"
#include "data/token_row.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

bool is_labelled(const std::vector<std::int64_t>& labels) {
  return std::ranges::any_of(labels, [](std::int64_t label) { return label != kIgnoredLabel; });
}

/// The text of the first `tokens` tokens.
std::string_view text_of_tokens(std::string_view text, const Encoding& encoding, std::int64_t tokens) {
  const auto count = static_cast<std::size_t>(tokens);
  return encoding.ids.size() <= count ? text : text.substr(0, encoding.offsets[count].begin);
}

}  // namespace

QaDataset::QaDataset(std::vector<QaItem> items, std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options,
                     const Progress& progress)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      prompts_(options.place == ContextPlace::prompt ? Method::in_context : Method::shine, options.form,
               options.prompts) {
  check_options();
  if (options_.reconstruction_share > 0 && !in_prompt()) {
    require_token(*tokenizer_, kReconstruct);
    const std::array request = {ChatMessage{"user", std::string(kReconstruct)}};
    reconstruct_request_ = tokenize_chat(*tokenizer_, request, SpecialTokens::parse, options_.chat_format).ids;
  }
  report_.items = items.size();
  take(std::move(items));

  std::vector<std::int64_t> context_lengths(contexts_.size());
  std::vector<std::uint64_t> hashes(contexts_.size());
  const auto measure_context = [&](std::size_t i) {
    std::vector<std::int64_t> ids;
    if (!in_prompt()) ids = tokenizer_->encode(contexts_[i], options_.special_tokens).ids;
    context_lengths[i] = static_cast<std::int64_t>(ids.size());
    hashes[i] = hash_text(contexts_[i], ids);
  };
  parallel_for(contexts_.size(), options_.threads, measure_context);
  std::vector<Measure> measures(threads_.size());
  const auto measure_thread = [&](std::size_t i) { measures[i] = measure(i); };
  parallel_for(threads_.size(), options_.threads, measure_thread, progress);

  place(context_lengths, measures);
  SHINE_CHECK(!places_.empty(), ConfigError, "no question is left of ", report_.items, " items: ", report_.dropped,
              " samples are over the maximum length (raise text.context_max_length or text.conversation_max_length, or "
              "set data.over_long=cut)");
  Fnv1a hash;
  hash.add(hash_options()).add(std::uint64_t{contexts_.size()});
  for (const std::uint64_t context : hashes) hash.add(context);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    hash.add(std::uint64_t{threads_[i].context}).add(std::uint64_t{threads_[i].turns.size()}).add(measures[i].hash);
  }
  fingerprint_ = hash.value();
}

void QaDataset::check_options() const {
  SHINE_CHECK(in_prompt() || options_.context_max_length > 0, ConfigError,
              "the context must be at least 1 token long, found ", options_.context_max_length);
  SHINE_CHECK(options_.conversation_max_length >= 2, ConfigError,
              "a conversation must be at least 2 tokens long, found ", options_.conversation_max_length);
  SHINE_CHECK(options_.reconstruction_share >= 0 && options_.reconstruction_share <= 1, ConfigError,
              "the share of reconstruction must be in [0, 1], found ", options_.reconstruction_share);
  SHINE_CHECK(!prompts_.has_think_block(), ConfigError,
              "training with the context in the prompt has no empty think block (set "
              "evaluation.prompts.empty_think_block=false)");
}

void QaDataset::take(std::vector<QaItem>&& items) {
  contexts_.reserve(items.size());
  for (QaItem& item : items) {
    std::vector<Thread> taken;
    if (options_.form == QaForm::one_question) {
      for (QaQuestion& question : questions_of(item)) {
        taken.push_back({contexts_.size(), {{std::move(question.question), std::move(question.answers.at(0))}}});
      }
    } else {
      for (const auto& conversation : item.conversations) {
        Thread& thread = taken.emplace_back(Thread{contexts_.size(), {}});
        for (std::size_t i = 0; i + 1 < conversation.size(); i += 2) {
          thread.turns.push_back({conversation[i].content, conversation[i + 1].content});
        }
      }
      if (!item.questions.empty()) taken.push_back({contexts_.size(), {}});
      for (const QaQuestion& question : item.questions) {
        taken.back().turns.push_back({question.question, question.answers.at(0)});
      }
    }
    std::ranges::move(taken, std::back_inserter(threads_));
    contexts_.push_back(std::move(item.context));
    item = {};
  }
}

std::vector<ChatMessage> QaDataset::messages(const Place& place) const {
  const Thread& thread = threads_[place.thread];
  const std::string& context = contexts_[thread.context];
  std::vector<ChatMessage> all = prompts_.opening(context);
  for (std::size_t i = place.first; i < place.end; ++i) {
    all.push_back(prompts_.ask(context, thread.turns[i].question));
    all.push_back({"assistant", thread.turns[i].answer});
  }
  return all;
}

QaDataset::Measure QaDataset::measure(std::size_t number) const {
  const Thread& thread = threads_[number];
  auto whole = tokenize(messages({.thread = number, .first = 0, .end = thread.turns.size()}));
  Measure result;
  result.tokens = static_cast<std::int64_t>(whole.ids.size());
  result.hash = hash_text({}, whole.ids);
  cut(whole.labels, options_.conversation_max_length);
  result.is_labelled = is_labelled(whole.labels);
  if (result.tokens <= options_.conversation_max_length || options_.over_long != OverLong::split) return result;
  const std::string& context = contexts_[thread.context];
  const auto count = [&](std::span<const ChatMessage> some, ChatPart part) {
    return static_cast<std::int64_t>(tokenize(some, part).ids.size());
  };
  const std::array question = {prompts_.ask(context, "")};  // a format may write the opening into it
  result.opening = count(prompts_.messages(context, {}, ""), ChatPart::whole) - count(question, ChatPart::later);
  for (const Turn& turn : thread.turns) {
    const std::array pair = {prompts_.ask(context, turn.question), ChatMessage{"assistant", turn.answer}};
    result.turns.push_back(count(pair, ChatPart::later));
  }
  return result;
}

RenderedConversation QaDataset::tokenize(std::span<const ChatMessage> messages, ChatPart part) const {
  return tokenize_chat(*tokenizer_, messages, options_.special_tokens, options_.chat_format, part);
}

void QaDataset::place(const std::vector<std::int64_t>& contexts, const std::vector<Measure>& threads) {
  const auto context_excess = [&](std::size_t i) {
    return in_prompt() ? 0 : std::max<std::int64_t>(contexts[i] - options_.context_max_length, 0);
  };
  for (std::size_t i = 0; i < contexts.size(); ++i) report_.contexts_over_long += context_excess(i) > 0 ? 1 : 0;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const std::int64_t cut_from_context = context_excess(threads_[i].context);
    const std::int64_t excess = std::max<std::int64_t>(threads[i].tokens - options_.conversation_max_length, 0);
    const std::int64_t context_tokens = contexts[threads_[i].context] - cut_from_context;
    report_.conversations_over_long += excess > 0 ? 1 : 0;
    const std::int64_t all_tokens = contexts[threads_[i].context] + threads[i].tokens;
    report_.tokens += all_tokens;
    const auto drop = [&] {
      ++report_.dropped;
      report_.tokens_dropped += all_tokens;
    };
    const bool is_cut = options_.over_long == OverLong::cut;
    if (cut_from_context > 0 && !is_cut) {
      drop();
    } else if (excess > 0 && options_.over_long == OverLong::split) {
      split(i, threads[i], context_tokens);
    } else if ((excess > 0 && !is_cut) || !threads[i].is_labelled) {
      drop();
    } else {
      places_.push_back({i, 0, threads_[i].turns.size(), context_tokens + threads[i].tokens - excess});
      report_.tokens_cut += cut_from_context + excess;
    }
  }
  report_.samples = places_.size();
}

void QaDataset::split(std::size_t thread, const Measure& measure, std::int64_t context_tokens) {
  const std::size_t before = places_.size();
  const std::int64_t room = options_.conversation_max_length - measure.opening;
  std::int64_t taken = 0;
  Place open{thread, 0, 0, 0};
  const auto close = [&](std::size_t next) {
    open.tokens = context_tokens + measure.opening + taken;
    if (open.end > open.first) places_.push_back(open);
    open = {thread, next, next, 0};
    taken = 0;
  };
  for (std::size_t i = 0; i < measure.turns.size(); ++i) {
    if (taken + measure.turns[i] > room) close(i);
    if (measure.turns[i] > room) {
      ++report_.dropped;
      report_.tokens_dropped += measure.turns[i];
      close(i + 1);
      continue;
    }
    taken += measure.turns[i];
    open.end = i + 1;
  }
  close(measure.turns.size());
  if (places_.size() > before) report_.split_off += places_.size() - before - 1;
}

std::uint64_t QaDataset::hash_options() const {
  Fnv1a hash;
  hash.add(static_cast<std::uint64_t>(options_.form)).add(static_cast<std::uint64_t>(options_.place));
  hash.add(options_.context_max_length).add(options_.conversation_max_length);
  hash.add(static_cast<std::uint64_t>(options_.over_long)).add(options_.reconstruction_share);
  hash.add(static_cast<std::uint64_t>(options_.special_tokens)).add(options_.seed);
  return hash.add(hash_text({}, reconstruct_request_)).value();
}

RenderedConversation QaDataset::reconstruction(std::string_view context) const {
  const ChatMessage answer{"assistant", std::string(context)};
  if (in_prompt()) return tokenize(std::array{ChatMessage{"user", std::string(context)}, answer});
  RenderedConversation result;
  result.ids = reconstruct_request_;
  result.labels.assign(reconstruct_request_.size(), kIgnoredLabel);
  const auto rendered = tokenize(std::array{answer}, ChatPart::later);
  append(result.ids, rendered.ids);
  append(result.labels, rendered.labels);
  return result;
}

Sample QaDataset::sample(std::int64_t epoch, std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no sample ", index, ", the dataset has ", size());
  const Place& place = places_[index];
  std::string_view context = contexts_[threads_[place.thread].context];
  Sample sample;
  if (!in_prompt()) {
    Encoding encoding = tokenizer_->encode(context, options_.special_tokens);
    context = text_of_tokens(context, encoding, options_.context_max_length);
    sample.context_ids = std::move(encoding.ids);
    sample.context_tokens_cut = cut(sample.context_ids, options_.context_max_length);
  }
  Random random = stream_of(options_.seed, RandomPurpose::question_sample, epoch, index);
  const bool asks_for_context = random.uniform() < options_.reconstruction_share;
  RenderedConversation conversation = asks_for_context ? reconstruction(context) : tokenize(messages(place));
  sample.conversation_ids = std::move(conversation.ids);
  sample.labels = std::move(conversation.labels);
  sample.conversation_tokens_cut = cut(sample.conversation_ids, options_.conversation_max_length);
  cut(sample.labels, options_.conversation_max_length);
  return sample;
}

}  // namespace shine
