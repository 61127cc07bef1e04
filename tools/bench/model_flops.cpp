#include "bench/model_flops.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace shine::bench {
namespace {

/// FLOPs of one multiply-add of the forward, with those it brings in the backward.
struct Passes {
  double frozen = 2.0;     ///< of a frozen weight
  double trained = 2.0;    ///< of a trained one
  double attention = 2.0;  ///< of two activations
};
constexpr Passes kForward{};
/// The gradient of the input; that of the weight too; those of both factors.
constexpr Passes kStep{4.0, 6.0, 6.0};

/// What a pass over rows is made of; the last layer gives hidden states of the tokens that are read alone.
struct RowsRead {
  double tokens = 0.0, read = 0.0;
  double pairs = 0.0, pairs_of_read = 0.0;  ///< of causal attention
};

/// Multiply-adds of the rows in all frozen projections, and in a LoRA of rank 1 on all of them.
struct ProjectionWork {
  double dense = 0.0, rank_one = 0.0;

  ProjectionWork(const LoraSpec& spec, const RowsRead& rows) {
    for (const Projection p : kProjections) {
      const bool of_all = p == Projection::k || p == Projection::v;  // the others of the last layer: where it is read
      const double tokens = static_cast<double>(spec.layers - 1) * rows.tokens + (of_all ? rows.tokens : rows.read);
      dense += static_cast<double>(spec[p].in * spec[p].out) * tokens;
      rank_one += static_cast<double>(spec[p].in + spec[p].out) * tokens;
    }
  }
};

/// Scores and mixing of `pairs` query-key pairs of `width` values: two products.
double attention_flops(const Passes& passes, double pairs, std::int64_t width) {
  return passes.attention * 2.0 * pairs * static_cast<double>(width);
}

double pairs_of(std::int64_t length) {
  return static_cast<double>(length) * static_cast<double>(length + 1) / 2;
}

/// Contexts with `memory` tokens behind each, which are read.
RowsRead contexts_read(const RowLayout& contexts, std::int64_t memory) {
  RowsRead found;
  found.tokens = static_cast<double>(contexts.tokens() + memory * contexts.rows());
  found.read = static_cast<double>(memory * contexts.rows());
  for (std::int64_t row = 0; row < contexts.rows(); ++row) {
    const std::int64_t length = contexts.length(row);
    found.pairs += pairs_of(length + memory);
    found.pairs_of_read += pairs_of(length + memory) - pairs_of(length);
  }
  return found;
}

/// Conversations, read where a label is predicted.
RowsRead conversations_read(const RowLayout& conversations, const LabelledTokens& labelled) {
  RowsRead found;
  found.tokens = static_cast<double>(conversations.tokens());
  found.read = static_cast<double>(labelled.count());
  std::vector<std::int64_t> place;  // in its row, of every token
  for (std::int64_t row = 0; row < conversations.rows(); ++row) {
    const std::int64_t length = conversations.length(row);
    found.pairs += pairs_of(length);
    for (std::int64_t i = 0; i < length; ++i) place.push_back(i);
  }
  if (labelled.count() == 0) return found;
  const at::Tensor positions = labelled.positions.to(at::kCPU).contiguous();
  for (std::int64_t i = 0; i < labelled.count(); ++i) {
    found.pairs_of_read +=
        static_cast<double>(place.at(static_cast<std::size_t>(positions.const_data_ptr<std::int64_t>()[i])) + 1);
  }
  return found;
}

/// Adds one pass of `rows` through the decoder under a LoRA of `rank`.
void add_decoder_flops(ModelFlops& flops, const Passes& passes, const DecoderConfig& decoder, const LoraSpec& spec,
                       std::int64_t rank, const RowsRead& rows) {
  const ProjectionWork work(spec, rows);
  flops.backbone += passes.frozen * work.dense;
  flops.lora += passes.trained * work.rank_one * static_cast<double>(rank);
  const double pairs = static_cast<double>(decoder.layers - 1) * rows.pairs + rows.pairs_of_read;
  flops.attention += attention_flops(passes, pairs, decoder.heads * decoder.head_dim);
}

double m2p_flops(const Passes& passes, const M2pConfig& m2p, const M2pShape& shape) {
  const auto layers = static_cast<double>(shape.spec.layers), width = static_cast<double>(shape.hidden_size),
             memory = static_cast<double>(shape.tokens_read(m2p));
  const double weights = 4 * width * width + 2 * width * static_cast<double>(m2p.feedforward);
  double flops = 0.0;
  for (std::int64_t i = 0; i < m2p.num_layers; ++i) {
    const bool across_layers = (i % 2 == 0) == m2p.layers_first;
    const double pairs = layers * memory * (across_layers ? layers : memory);
    flops += passes.trained * weights * layers * memory + attention_flops(passes, pairs, shape.hidden_size);
  }
  return flops;
}

}  // namespace

ModelFlops& ModelFlops::operator+=(const ModelFlops& other) {
  backbone += other.backbone;
  lora += other.lora;
  attention += other.attention;
  m2p += other.m2p;
  head += other.head;
  return *this;
}

namespace {

/// The contexts through the decoder and the M2P.
ModelFlops generation_flops(const Passes& passes, const DecoderConfig& decoder, const HypernetworkConfig& config,
                            const M2pShape& shape, const RowLayout& contexts) {
  const RowsRead rows = contexts_read(contexts, shape.tokens_read(config.m2p));
  ModelFlops flops;
  add_decoder_flops(flops, passes, decoder, shape.spec, config.meta_lora_rank, rows);
  flops.m2p = static_cast<double>(contexts.rows()) * m2p_flops(passes, config.m2p, shape);
  return flops;
}

}  // namespace

ModelFlops count_generation_flops(const DecoderConfig& decoder, const HypernetworkConfig& config, const M2pShape& shape,
                                  const RowLayout& contexts) {
  return generation_flops(kForward, decoder, config, shape, contexts);
}

ModelFlops count_flops(const DecoderConfig& decoder, const HypernetworkConfig& config, const M2pShape& shape,
                       const ModelBatch& batch) {
  ModelFlops flops = generation_flops(kStep, decoder, config, shape, batch.contexts.layout);
  add_decoder_flops(flops, kStep, decoder, shape.spec, config.lora_rank,
                    conversations_read(batch.conversations.layout, batch.labelled));
  flops.head = kStep.frozen * static_cast<double>(decoder.hidden_size * decoder.vocab_size * batch.labelled.count());
  return flops;
}

}  // namespace shine::bench
