#include "data/qa/qa_sample_form.h"

#include <algorithm>
#include <array>
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

QaSampleForm::QaSampleForm(std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options)
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
}

void QaSampleForm::check_options() const {
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

std::vector<std::int64_t> QaSampleForm::context_ids(const std::string& context) const {
  if (in_prompt()) return {};
  return tokenizer_->encode(context, options_.special_tokens).ids;
}

std::vector<ChatMessage> QaSampleForm::messages(const std::string& context, std::span<const QaTurn> turns) const {
  std::vector<ChatMessage> all = prompts_.opening(context);
  for (const QaTurn& turn : turns) {
    all.push_back(prompts_.ask(context, turn.question));
    all.push_back({"assistant", turn.answer});
  }
  return all;
}

QaSampleForm::Measure QaSampleForm::measure(const std::string& context, std::span<const QaTurn> thread) const {
  auto whole = tokenize(messages(context, thread));
  Measure result;
  result.tokens = static_cast<std::int64_t>(whole.ids.size());
  result.hash = hash_text({}, whole.ids);
  cut(whole.labels, options_.conversation_max_length);
  result.is_labelled = is_labelled(whole.labels);
  if (result.tokens <= options_.conversation_max_length || options_.over_long != OverLong::split) return result;
  const auto count = [&](std::span<const ChatMessage> some, ChatPart part) {
    return static_cast<std::int64_t>(tokenize(some, part).ids.size());
  };
  const std::array question = {prompts_.ask(context, "")};  // a format may write the opening into it
  result.opening = count(prompts_.messages(context, {}, ""), ChatPart::whole) - count(question, ChatPart::later);
  for (const QaTurn& turn : thread) {
    const std::array pair = {prompts_.ask(context, turn.question), ChatMessage{"assistant", turn.answer}};
    result.turns.push_back(count(pair, ChatPart::later));
  }
  return result;
}

RenderedConversation QaSampleForm::tokenize(std::span<const ChatMessage> messages, ChatPart part) const {
  return tokenize_chat(*tokenizer_, messages, options_.special_tokens, options_.chat_format, part);
}

std::int64_t QaSampleForm::context_excess(std::int64_t context_tokens) const {
  return in_prompt() ? 0 : std::max<std::int64_t>(context_tokens - options_.context_max_length, 0);
}

std::vector<QaSampleForm::Piece> QaSampleForm::place(std::int64_t context_tokens, const Measure& measure,
                                                     std::size_t turns, QaReport& report) const {
  const std::int64_t cut_from_context = context_excess(context_tokens);
  const std::int64_t excess = std::max<std::int64_t>(measure.tokens - options_.conversation_max_length, 0);
  const std::int64_t all_tokens = context_tokens + measure.tokens;
  const bool is_cut = options_.over_long == OverLong::cut;
  report.conversations_over_long += excess > 0 ? 1 : 0;
  report.tokens += all_tokens;
  std::vector<Piece> pieces;
  if (excess > 0 && options_.over_long == OverLong::split && cut_from_context == 0) {
    pieces = split(context_tokens, measure, report);
  } else if (((cut_from_context > 0 || excess > 0) && !is_cut) || !measure.is_labelled) {
    ++report.dropped;
    report.tokens_dropped += all_tokens;
  } else {
    pieces.push_back({0, turns, all_tokens - cut_from_context - excess});
    report.tokens_cut += cut_from_context + excess;
  }
  report.samples += pieces.size();
  return pieces;
}

std::vector<QaSampleForm::Piece> QaSampleForm::split(std::int64_t context_tokens, const Measure& measure,
                                                     QaReport& report) const {
  const std::int64_t room = options_.conversation_max_length - measure.opening;
  std::vector<Piece> pieces;
  std::int64_t taken = 0;
  Piece open;
  const auto close = [&](std::size_t next) {
    open.tokens = context_tokens + measure.opening + taken;
    if (open.end > open.first) pieces.push_back(open);
    open = {next, next, 0};
    taken = 0;
  };
  for (std::size_t i = 0; i < measure.turns.size(); ++i) {
    if (taken + measure.turns[i] > room) close(i);
    if (measure.turns[i] > room) {
      ++report.dropped;
      report.tokens_dropped += measure.turns[i];
      close(i + 1);
      continue;
    }
    taken += measure.turns[i];
    open.end = i + 1;
  }
  close(measure.turns.size());
  if (!pieces.empty()) report.split_off += pieces.size() - 1;
  return pieces;
}

void QaSampleForm::check_left(const QaReport& report) const {
  SHINE_CHECK(report.samples > 0, ConfigError, "no question is left of ", report.items, " items: ", report.dropped,
              " samples are over the maximum length (raise text.context_max_length or text.conversation_max_length, or "
              "set data.over_long=cut)");
}

std::uint64_t QaSampleForm::fingerprint() const {
  Fnv1a hash;
  hash.add(static_cast<std::uint64_t>(options_.form)).add(static_cast<std::uint64_t>(options_.place));
  hash.add(options_.context_max_length).add(options_.conversation_max_length);
  hash.add(static_cast<std::uint64_t>(options_.over_long)).add(options_.reconstruction_share);
  hash.add(static_cast<std::uint64_t>(options_.special_tokens)).add(options_.seed);
  return hash.add(hash_text({}, reconstruct_request_)).value();
}

RenderedConversation QaSampleForm::reconstruction(std::string_view context) const {
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

Sample QaSampleForm::make(std::int64_t epoch, std::size_t index, Context context, std::span<const QaTurn> turns) const {
  std::string_view text = context.text;
  Sample sample;
  if (!in_prompt()) {
    sample.context_ids = std::move(context.ids);
    if (sample.context_ids.empty() || context_excess(static_cast<std::int64_t>(sample.context_ids.size())) > 0) {
      Encoding encoding = tokenizer_->encode(context.text, options_.special_tokens);
      text = text_of_tokens(context.text, encoding, options_.context_max_length);
      sample.context_ids = std::move(encoding.ids);
    }
    sample.context_tokens_cut = cut(sample.context_ids, options_.context_max_length);
  }
  Random random = stream_of(options_.seed, RandomPurpose::question_sample, epoch, index);
  const bool asks_for_context = random.uniform() < options_.reconstruction_share;
  RenderedConversation conversation = asks_for_context ? reconstruction(text) : tokenize(messages(context.text, turns));
  sample.conversation_ids = std::move(conversation.ids);
  sample.labels = std::move(conversation.labels);
  sample.conversation_tokens_cut = cut(sample.conversation_ids, options_.conversation_max_length);
  cut(sample.labels, options_.conversation_max_length);
  return sample;
}

}  // namespace shine
