#include "data/pretrain/pretrain_dataset.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <utility>

#include "common/hash.h"
#include "data/pretrain/text_pieces.h"
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

PretrainDataset::PretrainDataset(std::vector<std::string> texts, std::shared_ptr<const Tokenizer> tokenizer,
                                 const PretrainOptions& options, const Progress& progress)
    : texts_(std::move(texts)), tokenizer_(std::move(tokenizer)), options_(options) {
  separator_id_ = require_token(*tokenizer_, options_.chat_format.text_end);
  require_token(*tokenizer_, kReconstruct);
  require_token(*tokenizer_, kComplete);
  turn_overhead_ = tokens_per_turn(*tokenizer_, options_.chat_format);
  opening_ = tokenize_chat(*tokenizer_, {}, SpecialTokens::parse, options_.chat_format).ids;
  reconstruct_request_ = request(*tokenizer_, kReconstruct, options_.chat_format);
  complete_request_ = request(*tokenizer_, kComplete, options_.chat_format);
  if (options_.over_long == OverLong::automatic) options_.over_long = OverLong::cut;
  check_options();
  if (options_.over_long == OverLong::split) split_texts();

  std::vector<std::int64_t> lengths(texts_.size());
  std::vector<std::uint64_t> hashes(texts_.size());
  const auto measure = [&](std::size_t i) {
    const auto ids = tokenizer_->encode(texts_[i], options_.special_tokens).ids;
    lengths[i] = static_cast<std::int64_t>(ids.size());
    hashes[i] = hash_text(texts_[i], ids);
  };
  parallel_for(texts_.size(), options_.threads, measure, progress);
  report_.tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  pack(lengths);
  Fnv1a hash;
  hash.add(hash_options());
  for (const std::uint64_t text : hashes) hash.add(text);
  fingerprint_ = hash.value();
}

std::int64_t PretrainDataset::room() const {
  return std::min(options_.context_max_length, options_.conversation_max_length - turn_overhead_);
}

void PretrainDataset::split_texts() {
  std::vector<std::vector<std::string>> pieces(texts_.size());
  const auto split = [&](std::size_t i) {
    pieces[i] = split_text(texts_[i], room(), *tokenizer_, options_.special_tokens);
  };
  parallel_for(texts_.size(), options_.threads, split);
  const std::size_t before = texts_.size();
  texts_.clear();
  for (std::vector<std::string>& some : pieces) std::ranges::move(some, std::back_inserter(texts_));
  report_.split_off = texts_.size() - before;
}

void PretrainDataset::pack(const std::vector<std::int64_t>& lengths) {
  const auto opening = static_cast<std::int64_t>(opening_.size());
  std::vector<std::int64_t> costs = lengths;
  for (std::int64_t& cost : costs) cost += turn_overhead_ - opening;
  // A group's context has at most its conversation's tokens less one template: within `room` it is not cut.
  const std::int64_t most = (may_cut() ? options_.conversation_max_length : room() + turn_overhead_) - opening;
  TextGroups packed = pack_texts(costs, most, options_.open_groups);
  groups_ = std::move(packed.groups);
  static_cast<PackingReport&>(report_) = packed.report;
  group_tokens_.reserve(groups_.size());
  for (const auto& group : groups_) {
    auto length = static_cast<std::int64_t>(group.size()) - 1;  // separators
    std::int64_t conversation = opening;
    for (const std::size_t text : group) {
      length += lengths[text];
      conversation += costs[text];
    }
    group_tokens_.push_back(std::min(length, options_.context_max_length) +
                            std::min(conversation, options_.conversation_max_length));
    if (length <= options_.context_max_length) continue;
    ++report_.contexts_over_long;
    report_.context_tokens_cut += length - options_.context_max_length;
  }
}

std::uint64_t PretrainDataset::hash_options() const {
  Fnv1a hash;
  hash.add(options_.context_max_length).add(options_.conversation_max_length);
  hash.add(std::uint64_t{options_.open_groups}).add(options_.completion_frequency);
  hash.add(options_.completion_drop_min).add(options_.completion_drop_max);
  hash.add(std::uint64_t{options_.collapse_whitespace}).add(static_cast<std::uint64_t>(options_.special_tokens));
  hash.add(options_.seed).add(separator_id_);
  if (!may_cut()) hash.add(static_cast<std::uint64_t>(options_.over_long));
  for (const auto* request : {&reconstruct_request_, &complete_request_}) hash.add(hash_text({}, *request));
  if (!opening_.empty()) hash.add(hash_text({}, opening_));
  return hash.value();
}

void PretrainDataset::check_options() const {
  SHINE_CHECK(!texts_.empty(), ConfigError, "there is no text to pretrain on");
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

std::string PretrainDataset::context_part(const std::string& text, double drop) const {
  if (drop == kReconstruction) return text;
  return first_words(text, words_kept(count_words(text), drop), options_.collapse_whitespace);
}

Sample PretrainDataset::sample(std::int64_t epoch, std::size_t index) const {
  SHINE_CHECK(index < size(), ConfigError, "there is no sample ", index, ", the dataset has ", size());
  const auto& group = groups_[index];
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
    append(sample.context_ids,
           tokenizer_->encode(context_part(texts_[group[i]], drops[i]), options_.special_tokens).ids);
  }
  random.shuffle(order);
  append(sample.conversation_ids, opening_);
  sample.labels.assign(opening_.size(), kIgnoredLabel);
  for (const std::size_t i : order) {
    const auto& asked = drops[i] == kReconstruction ? reconstruct_request_ : complete_request_;
    append(sample.conversation_ids, asked);
    sample.labels.insert(sample.labels.end(), asked.size(), kIgnoredLabel);
    const auto answer = tokenize_chat(*tokenizer_, std::array{ChatMessage{"assistant", texts_[group[i]]}},
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
