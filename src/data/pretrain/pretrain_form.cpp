#include "data/pretrain/pretrain_form.h"

#include <array>
#include <numeric>
#include <utility>

#include "common/hash.h"
#include "data/pretrain/words.h"
#include "data/sampling/random_streams.h"
#include "data/token_row.h"
#include "shine/common/error.h"
#include "shine/text/chat_template.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

/// No share of words is dropped: the task is reconstruction.
constexpr double kReconstruction = -1.0;

std::vector<std::int64_t> request(const Tokenizer& tokenizer, std::string_view task_token, const ChatFormat& format) {
  const std::array message = {ChatMessage{"user", std::string(task_token)}};
  return tokenize_chat(tokenizer, message, SpecialTokens::parse, format, ChatPart::later).ids;
}

}  // namespace

PretrainForm::PretrainForm(std::shared_ptr<const Tokenizer> tokenizer, const PretrainOptions& options)
    : tokenizer_(std::move(tokenizer)), options_(options) {
  separator_id_ = require_token(*tokenizer_, options_.chat_format.text_end);
  require_token(*tokenizer_, kReconstruct);
  require_token(*tokenizer_, kComplete);
  turn_overhead_ = tokens_per_turn(*tokenizer_, options_.chat_format);
  opening_ = tokenize_chat(*tokenizer_, {}, SpecialTokens::parse, options_.chat_format).ids;
  reconstruct_request_ = request(*tokenizer_, kReconstruct, options_.chat_format);
  complete_request_ = request(*tokenizer_, kComplete, options_.chat_format);
  if (options_.over_long == OverLong::automatic) options_.over_long = OverLong::cut;
  check_options();
}

std::int64_t PretrainForm::room() const {
  return std::min(options_.context_max_length, options_.conversation_max_length - turn_overhead_);
}

std::int64_t PretrainForm::max_cost() const {
  return (splits() ? room() + turn_overhead_ : options_.conversation_max_length) - opening_tokens();
}

std::int64_t PretrainForm::count_group(std::int64_t tokens, std::size_t texts, PretrainReport& report) const {
  const auto count = static_cast<std::int64_t>(texts);
  const std::int64_t length = tokens + count - 1;  // separators
  const std::int64_t conversation = opening_tokens() + tokens + count * cost(0);
  if (length > options_.context_max_length) {
    ++report.contexts_over_long;
    report.context_tokens_cut += length - options_.context_max_length;
  }
  return std::min(length, options_.context_max_length) + std::min(conversation, options_.conversation_max_length);
}

std::uint64_t PretrainForm::fingerprint() const {
  Fnv1a hash;
  hash.add(options_.context_max_length).add(options_.conversation_max_length);
  hash.add(std::uint64_t{options_.open_groups}).add(options_.completion_frequency);
  hash.add(options_.completion_drop_min).add(options_.completion_drop_max);
  hash.add(std::uint64_t{options_.collapse_whitespace}).add(static_cast<std::uint64_t>(options_.special_tokens));
  hash.add(options_.seed).add(separator_id_);
  if (splits()) hash.add(static_cast<std::uint64_t>(options_.over_long));
  for (const auto* request : {&reconstruct_request_, &complete_request_}) hash.add(hash_text({}, *request));
  if (!opening_.empty()) hash.add(hash_text({}, opening_));
  return hash.value();
}

void PretrainForm::check_options() const {
  SHINE_CHECK(options_.over_long != OverLong::drop, ConfigError, "texts above the maximum lengths are cut or split");
  SHINE_CHECK(options_.context_max_length > 0, ConfigError, "the context must be at least 1 token long, found ",
              options_.context_max_length);
  SHINE_CHECK(options_.conversation_max_length > turn_overhead_, ConfigError, "a conversation of ",
              options_.conversation_max_length, " tokens has no room for a text: the template alone takes ",
              turn_overhead_, " (raise text.conversation_max_length)");
  SHINE_CHECK(options_.completion_frequency >= 0 && options_.completion_frequency <= 1, ConfigError,
              "the completion frequency must be in [0, 1], found ", options_.completion_frequency);
  SHINE_CHECK(0 <= options_.completion_drop_min && options_.completion_drop_min <= options_.completion_drop_max &&
                  options_.completion_drop_max <= 1,
              ConfigError, "the share of words that completion drops must have 0 <= min <= max <= 1, found ",
              options_.completion_drop_min, " and ", options_.completion_drop_max);
}

std::vector<std::int64_t> PretrainForm::context_part(const PretrainText& text, double drop) const {
  if (drop == kReconstruction) {
    return text.ids.empty() ? tokenizer_->encode(text.text, options_.special_tokens).ids : text.ids;
  }
  const std::string kept =
      first_words(text.text, words_kept(count_words(text.text), drop), options_.collapse_whitespace);
  return tokenizer_->encode(kept, options_.special_tokens).ids;
}

Sample PretrainForm::make(std::int64_t epoch, std::size_t index, std::span<const PretrainText> group) const {
  Random random = stream_of(options_.seed, RandomPurpose::pretrain_sample, epoch, index);

  std::vector<double> drops(group.size(), kReconstruction);
  for (double& drop : drops) {
    if (random.uniform() >= options_.completion_frequency) continue;
    drop = random.uniform(options_.completion_drop_min, options_.completion_drop_max);
  }
  std::vector<std::size_t> order(group.size());
  std::iota(order.begin(), order.end(), std::size_t{0});

  Sample sample;
  random.shuffle(order);
  for (const std::size_t i : order) {
    if (i != order.front()) sample.context_ids.push_back(separator_id_);
    append(sample.context_ids, context_part(group[i], drops[i]));
  }
  random.shuffle(order);
  append(sample.conversation_ids, opening_);
  sample.labels.assign(opening_.size(), kIgnoredLabel);
  for (const std::size_t i : order) {
    const auto& asked = drops[i] == kReconstruction ? reconstruct_request_ : complete_request_;
    append(sample.conversation_ids, asked);
    sample.labels.insert(sample.labels.end(), asked.size(), kIgnoredLabel);
    const auto answer = tokenize_chat(*tokenizer_, std::array{ChatMessage{"assistant", group[i].text}},
                                      options_.special_tokens, options_.chat_format, ChatPart::later);
    append(sample.conversation_ids, answer.ids);
    append(sample.labels, answer.labels);
  }
  sample.context_tokens_cut = cut(sample.context_ids, options_.context_max_length);
  sample.conversation_tokens_cut = cut(sample.conversation_ids, options_.conversation_max_length);
  cut(sample.labels, options_.conversation_max_length);
  return sample;
}

}  // namespace shine
