#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/ops_config.h"
#include "shine/decoder/decoder_layer.h"
#include "shine/decoder/kv_cache.h"
#include "shine/nn/embedding.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// How a decoder is run; none of it changes the result beyond rounding.
struct DecoderOptions {
  at::ScalarType dtype = at::kFloat;  ///< of the weights, as load_decoder and initialise_decoder make them
  at::Device device = at::kCPU;       ///< the same
  AttentionLayout attention = AttentionLayout::per_row;
  bool recompute = false;             ///< save only the layers' inputs for the backward
  std::int64_t activation_bytes = 0;  ///< saved by the layers of one pass for the backward, at most; the rest is
                                      ///< recomputed. 0: no limit
  std::optional<SublayerBackend> backend = {};  ///< of the fused layers; none: cpu where it runs, else torch

  /// What `recompute` and `activation_bytes` allow to be saved; 0: no limit. A byte leaves the layers' inputs alone,
  /// which are always saved.
  std::int64_t activation_limit() const { return recompute ? 1 : activation_bytes; }
};

class FusedLayers;

/// One decoder for all families: pre-norm layers, rotary grouped-query attention, SwiGLU. A LibTorch module with the
/// names of Hugging Face checkpoints, frozen until set_trained. Rows are packed: hidden states are (N, H) over all
/// rows' tokens.
class SHINE_API Decoder : public torch::nn::Module {
 public:
  /// Called after every layer with its index and its output (N, H).
  using LayerVisitor = std::function<void(std::int64_t layer, const at::Tensor& hidden)>;

  Decoder(DecoderConfig config, DecoderOptions options);
  ~Decoder() override;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const DecoderConfig& config() const { return config_; }
  const DecoderOptions& options() const { return options_; }
  const std::vector<DecoderLayer>& layers() const { return layers_; }
  at::ScalarType dtype() const { return embed_tokens_->weight.scalar_type(); }
  at::Device device() const { return embed_tokens_->weight.device(); }

  /// Makes every weight a trained leaf.
  void set_trained();
  bool is_trained() const { return embed_tokens_->weight.requires_grad(); }

  /// Embedding rows of added tokens, ids vocab_size, vocab_size + 1, .., which the embedding matrix lacks. Input only:
  /// they are not in the softmax.
  /// @param rows  (K, H); undefined: none
  void set_new_token_rows(at::Tensor rows) { new_token_rows_ = std::move(rows); }
  const at::Tensor& new_token_rows() const { return new_token_rows_; }

  /// The mean of all embedding rows, (H), without a gradient: where a new row starts.
  at::Tensor mean_embedding() const { return embed_tokens_->weight.detach().mean(0); }

  /// Limits the softmax to the first `size` ids (`text.vocabulary: tokenizer`).
  void set_softmax_size(std::int64_t size);
  std::int64_t softmax_size() const { return softmax_size_; }

  /// Ids -> (N, H). Throws ShapeError for an id that has no row.
  at::Tensor embed(const TokenRows& rows) const;

  /// Runs all layers, without the final norm.
  /// @param hidden     (N, H), N = rows.tokens()
  /// @param lora       null: none; its B_l adapters are shared by consecutive rows
  /// @param positions  (n), int64, rising: the last layer's output, which the visitor sees too, is that of these tokens
  ///                   alone, (n, H); undefined: of all
  at::Tensor run_layers(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                        const at::Tensor& positions = {}, const LayerVisitor& visitor = {}) const;

  /// embed + run_layers + final norm: (N, H), or (n, H) at `positions`, ready for the head.
  at::Tensor forward(const TokenRows& rows, const LoraTree* lora, const at::Tensor& positions = {}) const;

  /// The same for tokens that continue the cache's rows: row i of `added`, which may be empty, is appended to row i of
  /// the cache and attends to all of it. Runs in inference mode. If it throws, the cache is unchanged.
  at::Tensor forward(const TokenRows& added, const LoraTree* lora, KvCache& cache) const;

  /// The same with a cache as `pass.cached`, which its caller keeps.
  at::Tensor forward(const TokenRows& added, const LoraTree* lora, const LayerPass& pass) const;

  /// (n, H) normed hidden states -> (n, softmax size) logits: the head in training, evaluation and decoding.
  at::Tensor logits(const at::Tensor& hidden) const;

  /// The rows of the head that are in the softmax, (softmax size, H): lm_head, or the embedding where they are tied.
  at::Tensor head_weight() const;

  /// Cross-entropy (n) of the logits of `hidden` (n, H) against `targets` (n), in float32.
  at::Tensor losses(const at::Tensor& hidden, const at::Tensor& targets) const;

  /// The same of the labelled positions of `hidden` (N, H).
  at::Tensor losses(const at::Tensor& hidden, const LabelledTokens& labelled) const;

  /// Packs the weights for the fused layers now rather than in the first pass. Does nothing where they do not run.
  void prepare() const;

 private:
  /// DecoderLayer::forward of all layers.
  at::Tensor run_readable(at::Tensor hidden, const LoraTree* lora, const LayerPass& pass, const at::Tensor& positions,
                          const LayerVisitor& visitor) const;
  void check_input(const at::Tensor& hidden, const RowLayout& rows, const LoraTree* lora) const;

  DecoderConfig config_;
  DecoderOptions options_;
  Embedding embed_tokens_{nullptr};
  std::vector<DecoderLayer> layers_;
  RmsNorm norm_{nullptr};
  Linear lm_head_{nullptr};  ///< empty where the head is the embedding
  at::Tensor new_token_rows_;
  std::unique_ptr<FusedLayers> fused_;
  std::int64_t softmax_size_ = 0;
};

/// An empty cache for R rows of `decoder`.
SHINE_API KvCache make_cache(const Decoder& decoder, std::int64_t rows);

/// Frobenius norms of the projections' weights, (L, 7), float64, on the CPU.
SHINE_API at::Tensor projection_norms(const Decoder& decoder);

/// Loads the weights of a Hugging Face directory into `decoder`, mapped in place where dtype and device allow it.
SHINE_API void load_decoder(Decoder& decoder, const std::filesystem::path& directory);

/// The dtype that the directory's weights are stored in (that of the first tensor).
SHINE_API at::ScalarType stored_dtype(const std::filesystem::path& directory);

/// New weights: linear maps Normal(0, gain / sqrt(fan_in)), embeddings Normal(0, 1 / sqrt(H)) where tied, else
/// Normal(0, 1), norms 1, biases 0. Drawn on the CPU, so that they do not depend on the device. Throws Error for a
/// parameter of another kind.
SHINE_API void initialise_decoder(Decoder& decoder, double gain, std::uint64_t seed);

}  // namespace shine
