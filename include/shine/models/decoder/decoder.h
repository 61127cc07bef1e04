#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "shine/lora/lora_tree.h"
#include "shine/models/decoder/decoder_config.h"
#include "shine/models/decoder/kv_cache.h"
#include "shine/nn/parameter_list.h"
#include "shine/ops/rotary.h"
#include "shine/ops/sublayer_batch.h"
#include "shine/tensor/token_rows.h"

namespace shine {

/// How a decoder is run; none of it changes the result beyond rounding.
struct DecoderOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  AttentionLayout attention = AttentionLayout::per_row;
  bool recompute = false;             ///< keep only the sub-layers' inputs for the backward
  std::int64_t activation_bytes = 0;  ///< that the layers of one pass may keep for the backward, 0: no limit; what
                                      ///< does not fit is computed again there
  std::optional<SublayerEngine> engine = {};  ///< of the layers; none: blocks where they run, else operations
};

/// The weights of one layer, as loaded.
struct DecoderLayer {
  struct Linear {
    at::Tensor weight, bias;  ///< (out, in), (out) or undefined
  };
  at::Tensor input_norm, post_attention_norm, q_norm, k_norm;
  std::array<Linear, 7> projections;  ///< by Projection
};

class PreparedLayers;

/// One decoder for all families: pre-norm layers, rotary grouped-query attention, SwiGLU (SPEC section 2).
/// Tensors are named by Hugging Face keys. Rows are packed: hidden states are (N, H) over all rows' tokens.
class Decoder {
 public:
  /// Called after every layer with its index and its output (N, H).
  using LayerVisitor = std::function<void(std::int64_t layer, const at::Tensor& hidden)>;

  Decoder(DecoderConfig config, DecoderOptions options);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const DecoderConfig& config() const { return config_; }
  const DecoderOptions& options() const { return options_; }
  const ParameterList& parameters() const { return parameters_; }

  /// Rows that added tokens have where the embedding matrix has none: ids vocab_size, vocab_size + 1, .. An input
  /// only: they are not in the softmax.
  /// @param rows  (K, H); undefined: none
  void set_new_token_rows(at::Tensor rows) { new_token_rows_ = std::move(rows); }
  const at::Tensor& new_token_rows() const { return new_token_rows_; }

  /// The mean of all embedding rows, (H), without a gradient: where a new row starts.
  at::Tensor mean_embedding() const { return embedding_.detach().mean(0); }

  /// Frobenius norms of the projections' weights, (L, 7), float64, on the CPU.
  at::Tensor projection_norms() const;

  /// Makes every weight a trained leaf; a decoder is frozen otherwise.
  void set_trained();

  /// Limits the softmax to the first `size` ids (SPEC section 6: `text.vocabulary: tokenizer`).
  void set_softmax_size(std::int64_t size);
  std::int64_t softmax_size() const { return softmax_size_; }

  /// Ids -> (N, H). Throws ShapeError for an id that has no row.
  at::Tensor embed(const TokenRows& rows) const;

  /// Runs all layers, without the final norm. `lora` may be null; its B_l adapters are shared by consecutive rows.
  /// @param hidden  (N, H), N = rows.tokens()
  at::Tensor run_layers(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                        const LayerVisitor& visitor = {}) const;

  /// The same, but the last layer's output, which the visitor sees too, is that of the tokens at `positions` (n),
  /// rising, alone: (n, H). Where sub-layers run (frozen weights, `ops.fused` not off) the last layer computes no
  /// others.
  at::Tensor run_layers_at(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora, const at::Tensor& positions,
                           const LayerVisitor& visitor = {}) const;

  /// embed + run_layers + final norm: (N, H), ready for the head.
  at::Tensor forward(const TokenRows& rows, const LoraTree* lora) const;

  /// The same for the tokens at `positions` (n), rising, alone: (n, H).
  at::Tensor forward_at(const TokenRows& rows, const LoraTree* lora, const at::Tensor& positions) const;

  /// The same for tokens that continue the cache's rows, one row of `added` each (it may be empty); they see what
  /// their row holds and are kept too. Runs in inference mode. What is thrown leaves the cache as it was.
  at::Tensor forward(const TokenRows& added, const LoraTree* lora, KvCache& cache) const;

  /// An empty cache for R rows.
  KvCache make_cache(std::int64_t rows) const;

  /// (n, H) normed hidden states -> (n, softmax size) logits.
  at::Tensor logits(const at::Tensor& hidden) const;

  /// Cross-entropy (n) of the labelled positions of `hidden` (N, H), in float32.
  at::Tensor losses(const at::Tensor& hidden, const LabelledTokens& labelled) const;

  /// Cross-entropy (n) of `hidden` (n, H) against `targets` (n), in float32.
  at::Tensor losses_at(const at::Tensor& hidden, const at::Tensor& targets) const;

  /// Makes what the layers' fast form reads of the weights, so that no later pass has to: for the CPU engine a copy of
  /// the layers, two for bfloat16. Does nothing where sub-layers do not run. Weights that change are prepared anew.
  void prepare() const;

 private:
  friend class DecodingStep;

  using Layer = DecoderLayer;
  using Linear = DecoderLayer::Linear;
  struct LayerContext;
  struct CachedRows;

  void declare_parameters();
  void check_input(const at::Tensor& hidden, const RowLayout& rows, const LoraTree* lora) const;
  at::Tensor head_weight() const;
  at::Tensor project(const Layer& layer, Projection projection, const at::Tensor& x, const LayerContext& context) const;
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const LayerContext& context) const;
  at::Tensor attention_block(const Layer& layer, const at::Tensor& x, const LayerContext& context) const;
  at::Tensor mlp_block(const Layer& layer, const at::Tensor& x, const LayerContext& context) const;
  at::Tensor run_layer(const Layer& layer, const at::Tensor& x, const LayerContext& context) const;
  at::Tensor run_layer_checkpointed(const Layer& layer, const at::Tensor& x, const LayerContext& context) const;
  bool is_trained() const { return embedding_.requires_grad(); }
  /// By what the layers run as sub-layer functions; nothing for trained weights and with `ops.fused: off`.
  std::optional<SublayerEngine> engine() const;
  at::Tensor run_plain(at::Tensor hidden, const RowLayout& rows, const LoraTree* lora, const at::Tensor* positions,
                       const LayerVisitor& visitor) const;
  at::Tensor run_sublayers(SublayerEngine by, at::Tensor hidden, const RowLayout& rows, const LoraTree* lora,
                           const at::Tensor* positions, const LayerVisitor& visitor) const;

  DecoderConfig config_;
  DecoderOptions options_;
  at::Tensor embedding_, final_norm_, lm_head_, new_token_rows_;
  std::vector<Layer> layers_;
  ParameterList parameters_;
  std::unique_ptr<PreparedLayers> prepared_;
  std::int64_t softmax_size_ = 0;
};

/// Loads the weights of a Hugging Face directory into `decoder`, mapped in place where dtype and device allow it.
void load_decoder(Decoder& decoder, const std::filesystem::path& directory);

/// The dtype that the directory's weights are stored in (that of the first tensor).
at::ScalarType stored_dtype(const std::filesystem::path& directory);

/// New weights: linear maps Normal(0, gain / sqrt(fan_in)), embeddings Normal(0, 1 / sqrt(H)) where tied, else
/// Normal(0, 1), norms 1, biases 0. Drawn on the CPU, so that they do not depend on the device.
void initialise_decoder(Decoder& decoder, double gain, std::uint64_t seed);

}  // namespace shine
