#include "decoder/decoding_step.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>

#include "kernels/cuda/graphed_work.h"
#include "ops/attention.h"
#include "shine/common/error.h"

namespace shine {

/// Attention over the first `window` positions of a cache; each row's new token is written behind its last one.
class DecodingStep::Window : public CachedAttention {
 public:
  /// @param places  (R), int64, of the new tokens
  Window(const KvCache& cache, std::int64_t window, std::int64_t capacity, const at::Tensor& places,
         const at::TensorOptions& options)
      : cache_(cache), window_(window) {
    const std::int64_t rows = places.size(0), kv_heads = cache.kv_heads();
    slots_ =
        (at::arange(rows * kv_heads, places.options()).view({rows, -1}) * capacity + places.unsqueeze(1)).flatten();
    const at::Tensor unused = at::arange(window, places.options()).unsqueeze(0) > places.unsqueeze(1);  // (R, window)
    mask_ = aligned_mask(at::zeros({rows, window}, options)
                             .masked_fill_(unused, -std::numeric_limits<double>::infinity())
                             .view({rows, 1, 1, window}));
  }

  at::Tensor attend(std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& options) override {
    const std::int64_t rows = q.size(0), heads = q.size(1), d = q.size(2), kv_heads = k.size(1),
                       group = heads / kv_heads;
    const auto put = [&](const at::Tensor& all, const at::Tensor& added) {
      all.view({-1, d}).index_copy_(0, slots_, added.reshape({-1, d}));
    };
    put(cache_.keys(layer), k);
    put(cache_.values(layer), v);
    // Heads that share a kv head are queries of one head.
    const at::Tensor out =
        attention(q.view({rows, kv_heads, group, d}), cache_.keys(layer).narrow(2, 0, window_),
                  cache_.values(layer).narrow(2, 0, window_), mask_.expand({-1, kv_heads, group, -1}), options);
    return out.reshape({rows, heads, d});
  }

 private:
  const KvCache& cache_;
  std::int64_t window_;
  at::Tensor slots_;  ///< (R * kv_heads), each row's and head's next place in (R * kv_heads * capacity)
  at::Tensor mask_;   ///< (R, 1, 1, window), added to the scores
};

DecodingStep::DecodingStep(const Decoder& decoder, const LoraTree* lora, KvCache& cache, bool capture)
    : decoder_(decoder), cache_(cache), capture_(capture) {
  const c10::InferenceMode inference;
  const auto options = at::TensorOptions().dtype(decoder.dtype()).device(decoder.device());
  input_ = at::zeros({2, cache.rows()}, at::TensorOptions().dtype(at::kLong).device(decoder.device()));
  logits_ = at::zeros({cache.rows(), decoder.softmax_size()}, options);
  if (lora == nullptr) return;
  const std::int64_t adapters = lora->adapters();
  SHINE_CHECK(static_cast<std::int64_t>(lora->layers.size()) == decoder.config().layers && adapters > 0 &&
                  cache.rows() % adapters == 0,
              ShapeError, "decoding step: ", adapters, " LoRAs of ", lora->layers.size(), " layers for ", cache.rows(),
              " rows of a model of ", decoder.config().layers);
  lora_ = *lora;
  for_each_tensor(lora_,
                  [&](const std::string&, at::Tensor& tensor) { tensor = tensor.detach().to(options).contiguous(); });
  for (std::int64_t i = 0; i <= adapters; ++i) spans_.push_back(i * (cache.rows() / adapters));
}

DecodingStep::~DecodingStep() = default;

at::Tensor DecodingStep::run(const std::vector<std::int64_t>& ids, const std::vector<bool>& active) {
  const c10::InferenceMode inference;
  const auto rows = static_cast<std::size_t>(cache_.rows());
  const std::vector<std::int64_t>& lengths = cache_.lengths();
  const std::int64_t longest = *std::ranges::max_element(lengths);
  SHINE_CHECK(ids.size() == rows && active.size() == rows && longest < cache_.capacity(), ShapeError,
              "decoding step: ", ids.size(), " ids for ", rows, " rows of up to ", longest, " tokens, with places for ",
              cache_.capacity());
  const std::int64_t window =
      std::min((longest / kWindowStep + 1) * kWindowStep, cache_.capacity());  // the new token's place is inside
  if (window > window_ || cache_.capacity() != capacity_ || !work_) prepare(window);
  const at::Tensor given = at::empty({2, cache_.rows()}, at::kLong);
  std::ranges::copy(ids, given.mutable_data_ptr<std::int64_t>());
  std::ranges::copy(lengths, given.mutable_data_ptr<std::int64_t>() + rows);
  input_.copy_(given, /*non_blocking=*/true);
  work_->run();
  for (std::size_t row = 0; row < rows; ++row) {
    if (active[row]) cache_.count_appended(static_cast<std::int64_t>(row));
  }
  return logits_;
}

void DecodingStep::prepare(std::int64_t window) {
  window_ = window;
  capacity_ = cache_.capacity();
  work_ =
      std::make_unique<GraphedWork>(std::vector<GraphedWork::Part>{[this] { compute(); }}, decoder_.device(), capture_);
}

void DecodingStep::compute() {
  const at::Tensor ids = input_[0], places = input_[1];
  Window window(cache_, window_, capacity_, places, logits_.options());
  const RopeTable& all = cache_.rope();
  const LayerPass pass{{}, {all.cos.index_select(0, places), all.sin.index_select(0, places)}, spans_, &window};
  const TokenRows tokens{ids, {}, /*lowest=*/0, /*highest=*/decoder_.config().vocab_size - 1};
  const at::Tensor hidden = decoder_.forward(tokens, lora_.layers.empty() ? nullptr : &lora_, pass);  // (R, H)
  logits_.copy_(decoder_.logits(hidden));
}

}  // namespace shine
