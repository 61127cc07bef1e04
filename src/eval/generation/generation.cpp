#include "shine/eval/generation.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/random.h"
#include "decoder/decoding_step.h"
#include "eval/generation/sampling.h"
#include "kernels/fused.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Detached and cast to what the decoder's weights are, once: every token would cast it again.
LoraTree prepared(const LoraTree& lora, const Decoder& decoder) {
  LoraTree copy = lora;
  for_each_tensor(copy, [&](const std::string&, at::Tensor& tensor) {
    tensor = tensor.detach().to(at::TensorOptions().dtype(decoder.dtype()).device(decoder.device()));
  });
  return copy;
}

std::int64_t position_limit(const Decoder& decoder) {
  const std::int64_t limit = decoder.config().max_positions;
  return limit > 0 ? limit : std::numeric_limits<std::int64_t>::max();
}

/// @param highest  logit of the row; NaN if any of its logits is
void check_finite(float highest, std::size_t row) {
  if (std::isfinite(highest)) return;
  throw Error("the logits are not finite", str("generation, row ", row),
              "the adapter's or the model's values are too large");
}

/// One token a row of `logits` (n, V), which belong to the active rows in order. `ids` are prompts and what was
/// written.
std::vector<std::int64_t> choose_tokens(const at::Tensor& logits, const std::vector<std::size_t>& rows,
                                        const GenerationSession::Rows& ids, const GenerationOptions& options) {
  const auto [values, tokens] = logits.max(-1);
  const at::Tensor highest = values.to(at::kCPU, at::kFloat), best = tokens.to(at::kCPU);
  for (std::size_t i = 0; i < rows.size(); ++i) check_finite(highest.const_data_ptr<float>()[i], rows[i]);
  const std::span likeliest(best.const_data_ptr<std::int64_t>(), rows.size());
  std::vector<std::int64_t> chosen(likeliest.begin(), likeliest.end());
  const DecodingConfig& decoding = options.decoding;
  if (decoding.temperature == 0.0 && decoding.repetition_penalty == 1.0) return chosen;
  const at::Tensor all = logits.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  const auto width = static_cast<std::size_t>(all.size(1));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<float> row(all.mutable_data_ptr<float>() + i * width, width);
    const std::vector<std::int64_t>& seen = ids[rows[i]];
    process_logits(row, seen, decoding);
    chosen[i] = decoding.temperature == 0.0
                    ? likeliest_token(row)
                    : draw_token(row, Random::stream(options.seed, {rows[i], seen.size()}).uniform());
  }
  return chosen;
}

}  // namespace

GenerationSession::GenerationSession(const Decoder& decoder, const LoraTree* lora, std::int64_t rows)
    : decoder_(decoder), cache_(make_cache(decoder, rows)), seen_(static_cast<std::size_t>(rows)) {
  if (lora == nullptr) return;
  SHINE_CHECK(lora->adapters() > 0 && rows % lora->adapters() == 0, ShapeError, lora->adapters(),
              " LoRAs cannot be shared evenly by ", rows, " rows");
  lora_ = prepared(*lora, decoder);
}

GenerationSession::~GenerationSession() = default;

void GenerationSession::check(const Rows& prompts, const GenerationOptions& options) const {
  SHINE_CHECK(prompts.size() == seen_.size(), ShapeError, prompts.size(), " prompts for a session of ", seen_.size(),
              " rows");
  SHINE_CHECK(options.decoding.max_new_tokens > 0, ConfigError, "decoding.max_new_tokens is ",
              options.decoding.max_new_tokens, ": expected at least 1");
  const std::int64_t limit = position_limit(decoder_);
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    if (static_cast<std::int64_t>(prompts[row].size()) < limit) continue;
    throw ConfigError(
        str("a prompt of ", prompts[row].size(), " tokens leaves no position for an answer: the model has ", limit,
            " (max_position_embeddings or sliding_window)"),
        str("generation, row ", row), "shorten the context or the conversation");
  }
}

void GenerationSession::keep_prefix(std::size_t row, const std::vector<std::int64_t>& prompt) {
  std::vector<std::int64_t>& seen = seen_[row];
  const auto shared = static_cast<std::size_t>(std::ranges::mismatch(seen, prompt).in1 - seen.begin());
  seen.resize(std::min(shared, prompt.size() - 1));  // the last token's hidden state is needed anew
  cache_.truncate(static_cast<std::int64_t>(row), static_cast<std::int64_t>(seen.size()));
}

/// Normed hidden states of the last token of every active row, (active rows, H).
at::Tensor GenerationSession::last_hidden(const Rows& ids, const std::vector<bool>& active, bool use_cache) {
  Rows added(ids.size());
  std::vector<std::int64_t> last;
  std::int64_t tokens = 0;
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (!active[row]) continue;
    const std::size_t kept = use_cache ? seen_[row].size() : 0;
    added[row].assign(ids[row].begin() + static_cast<std::ptrdiff_t>(kept), ids[row].end());
    tokens += static_cast<std::int64_t>(added[row].size());
    last.push_back(tokens - 1);
  }
  const TokenRows packed = TokenRows::pack(added, decoder_.device());
  const LoraTree* lora = lora_.layers.empty() ? nullptr : &lora_;
  const at::Tensor hidden = use_cache ? decoder_.forward(packed, lora, cache_) : decoder_.forward(packed, lora);
  for (std::size_t row = 0; use_cache && row < ids.size(); ++row) {
    seen_[row].insert(seen_[row].end(), added[row].begin(), added[row].end());
  }
  if (tokens == static_cast<std::int64_t>(last.size())) return hidden;
  return hidden.index_select(0, index_tensor(last, hidden.device()));
}

/// The logits behind the one new token that every active row has.
at::Tensor GenerationSession::step_logits(const Rows& ids, const std::vector<bool>& active,
                                          const std::vector<std::size_t>& rows) {
  if (!step_) {
    step_ = std::make_unique<DecodingStep>(decoder_, lora_.layers.empty() ? nullptr : &lora_, cache_, /*capture=*/true);
  }
  std::vector<std::int64_t> last(ids.size(), 0), kept;
  for (const std::size_t row : rows) {
    last[row] = ids[row].back();
    kept.push_back(static_cast<std::int64_t>(row));
  }
  const at::Tensor logits = step_->run(last, active);
  for (const std::size_t row : rows) seen_[row].push_back(last[row]);
  if (rows.size() == ids.size()) return logits;
  return logits.index_select(0, index_tensor(kept, logits.device()));
}

std::vector<GeneratedText> GenerationSession::generate(const Rows& prompts, const GenerationOptions& options,
                                                       const TokenObserver& observer) {
  check(prompts, options);
  const c10::InferenceMode inference;
  const auto limit = static_cast<std::size_t>(position_limit(decoder_));
  const auto longest = static_cast<std::size_t>(options.decoding.max_new_tokens);
  std::vector<GeneratedText> texts(prompts.size());
  std::vector<bool> active(prompts.size());
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    active[row] = !prompts[row].empty();
    if (active[row] && options.decoding.cache) keep_prefix(row, prompts[row]);
  }
  const bool fixed = options.decoding.cache && use_cuda_graph(options.decoding.cuda_graph, CudaKernel::decoding_graph);
  if (fixed) {  // rows that have ended write to a place behind their last one too
    const std::size_t prompt = std::ranges::max(prompts, {}, &std::vector<std::int64_t>::size).size();
    const auto needed = static_cast<std::int64_t>(std::min(prompt + longest, limit));
    cache_.reserve(std::max(needed, *std::ranges::max_element(cache_.lengths())) + 1);
  }
  bool prompted = false;
  Rows ids = prompts;
  while (std::ranges::find(active, true) != active.end()) {
    std::vector<std::size_t> rows;
    for (std::size_t row = 0; row < active.size(); ++row) {
      if (active[row]) rows.push_back(row);
    }
    const at::Tensor logits = fixed && prompted ? step_logits(ids, active, rows)
                                                : decoder_.logits(last_hidden(ids, active, options.decoding.cache));
    prompted = true;
    const std::vector<std::int64_t> chosen = choose_tokens(logits, rows, ids, options);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t row = rows[i];
      GeneratedText& text = texts[row];
      text.stopped = std::ranges::find(options.stop_ids, chosen[i]) != options.stop_ids.end();
      active[row] = false;
      if (text.stopped) continue;
      text.ids.push_back(chosen[i]);
      ids[row].push_back(chosen[i]);
      const bool goes_on = !observer || observer(row, chosen[i]);
      active[row] = goes_on && text.ids.size() < longest && ids[row].size() < limit;
    }
  }
  return texts;
}

}  // namespace shine
