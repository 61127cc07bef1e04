#include "eval/qa/answer_options.h"

#include <algorithm>
#include <iterator>

#include "common/random.h"
#include "shine/common/str.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

/// What random numbers are drawn for.
enum Purpose : std::uint64_t { kSampling = 11 };

DecodingConfig resolved(DecodingConfig decoding, QaForm form) {
  if (decoding.max_new_tokens == 0) decoding.max_new_tokens = form == QaForm::multi_turn ? 500 : 128;
  return decoding;
}

std::vector<std::int64_t> stop_ids(const QaModels& models, const DecodingConfig& decoding, const ChatFormat& format) {
  std::vector<std::int64_t> ids;
  for (const std::string& token : decoding.stop) ids.push_back(require_token(models.tokenizer, token));
  if (!decoding.stop.empty()) return ids;
  ids.push_back(require_token(models.tokenizer, format.answer_end));
  std::ranges::copy_if(models.end_tokens, std::back_inserter(ids), [&](std::int64_t id) { return id != ids.front(); });
  return ids;
}

}  // namespace

AnswerOptions answer_options(const EvaluationConfig& evaluation, QaForm form, const QaModels& models,
                             const ChatFormat& format) {
  AnswerOptions options;
  options.generation.decoding = resolved(evaluation.decoding, form);
  options.generation.stop_ids = stop_ids(models, evaluation.decoding, format);
  options.limits = {evaluation.conversation_max_length, models.decoder.config().max_positions,
                    options.generation.decoding.max_new_tokens};
  return options;
}

std::uint64_t batch_seed(const EvaluationConfig& evaluation, std::size_t batch) {
  const auto seed = static_cast<std::uint64_t>(evaluation.seed);
  return Random::stream(seed, {kSampling, static_cast<std::uint64_t>(batch)}).next();
}

std::uint64_t round_seed(std::uint64_t batch_seed, std::uint64_t round) {
  return Random::stream(batch_seed, {round}).next();
}

std::int64_t embedding_rows(const Decoder& decoder) {
  const at::Tensor& added = decoder.new_token_rows();
  return decoder.config().vocab_size + (added.defined() ? added.size(0) : 0);
}

std::string token_without_row(const QaModels& models, std::int64_t highest) {
  if (highest < embedding_rows(models.decoder)) return {};
  return str("a text holds ", models.tokenizer.id_to_token(highest), ", a token without an embedding row (",
             "text.special_tokens=escape reads it as text)");
}

}  // namespace shine
