#include "app/build/memory_estimate.h"

#include <algorithm>

#include "app/build/precision.h"
#include "decoder/activation_plan.h"
#include "decoder/fused_layers.h"
#include "kernels/fused.h"
#include "ops/decoder_sublayers.h"
#include "ops/linear_cross_entropy.h"
#include "shine/hypernetwork/memory_to_params.h"

namespace shine {
namespace {

constexpr double kFloatBytes = 4;

/// Bytes that a part of a pass saves for its backward, and its working memory beside them.
struct Held {
  double saved = 0, work = 0;
};

/// The gradients of what is done at once, about as much as it saves, and what it recomputes.
double work_of(double whole, bool recomputed) {
  return recomputed ? 2 * whole : whole;
}

/// What is run in one pass, and by what.
struct Plan {
  const ExperimentConfig& config;
  const DecoderConfig& model;
  c10::DeviceType device = at::kCPU;
  M2pShape shape = {};
  M2pConfig m2p = {};
  at::ScalarType type = at::kFloat, m2p_type = at::kFloat;  ///< of products' operands
  std::optional<SublayerBackend> backend = {};              ///< of the decoder; none: DecoderLayer::forward
  bool m2p_on_cpu_backend = false;
  bool packed = false;         ///< attention over packed rows
  bool loss_in_place = false;  ///< the logits become their gradient
  bool hypernetwork = true;    ///< else the backbone is trained
  std::int64_t samples = 1;    ///< of one pass
  std::int64_t memory = 0;     ///< tokens of a context
};

Plan plan_of(const ExperimentConfig& config, const DecoderConfig& model, c10::DeviceType device) {
  Plan plan{.config = config, .model = model, .device = device};
  const FusedOpsGuard fused(config.ops.fused);
  plan.hypernetwork = traits_of(config.stage.name).has_hypernetwork;
  plan.type = backbone_type(config.model);
  plan.packed = device == at::kCUDA && plan.type == at::kBFloat16 && use_cuda_kernel(CudaKernel::packed_attention);
  plan.loss_in_place = device == at::kCUDA && use_cuda_kernel(CudaKernel::cross_entropy);
  if (plan.hypernetwork) plan.backend = fused_layers_backend(model, plan.type, device);
  std::int64_t sample = config.text.conversation_max_length;
  if (plan.hypernetwork) {
    const HypernetworkConfig& network = config.hypernetwork;
    plan.shape = M2pShape::of(model.lora_spec(), network.lora_rank, model.hidden_size);
    plan.m2p = resolve_m2p_config(network.m2p, plan.shape);
    plan.m2p_type = m2p_compute_type(network.dtype, plan.type);
    plan.m2p_on_cpu_backend = cpu_backend_runs(plan.m2p_type, device);
    plan.memory = plan.shape.tokens_read(plan.m2p);
    sample += config.text.context_max_length;
  }
  // A micro-batch, or as many as optimizer.pass_tokens lets into a pass.
  const std::int64_t batch = config.optimizer.batch_size;
  plan.samples = batch * std::clamp<std::int64_t>(config.optimizer.pass_tokens / (batch * sample), 1,
                                                  config.optimizer.accumulation);
  return plan;
}

/// The decoder over `samples` rows of `length` tokens.
/// @param rank  of each of `adapters` LoRAs
Held decoder_pass(const Plan& plan, std::int64_t length, std::int64_t adapters, std::int64_t rank) {
  const std::int64_t tokens = plan.samples * length, layers = plan.model.layers;
  const DecoderOptions options{
      .recompute = plan.config.model.recompute,
      .activation_bytes = plan.config.model.activation_memory * (std::int64_t{1} << 20) / (plan.hypernetwork ? 2 : 1)};
  const std::int64_t limit = options.activation_limit();
  if (!plan.backend) {
    const std::int64_t whole = tokens * layer_activation_bytes(plan.model, plan.type);
    const std::int64_t input = tokens * plan.model.hidden_size * static_cast<std::int64_t>(at::elementSize(plan.type));
    const std::int64_t again = layers_to_recompute(plan.model, plan.type, tokens, limit);
    return {static_cast<double>((layers - again) * whole + again * input),
            work_of(static_cast<double>(whole), again > 0)};
  }
  const RowPacking rows = plan.samples > 1 ? RowPacking::multiple : RowPacking::single;
  const ActivationBytes each =
      activation_bytes_of(*plan.backend, plan.model, plan.type, rank, plan.packed ? RowPacking::varlen : rows);
  const std::vector<LayerActivations> plan_of_layers =
      plan_activations(static_cast<std::size_t>(layers), each, tokens, limit);
  const bool recomputed = plan_of_layers.front().mlp == SavedActivations::input_only;
  // Where a sub-layer is not recomputed, its LoRAs are saved as the products read them.
  const auto saved_loras = std::ranges::count(plan_of_layers, SavedActivations::all, &LayerActivations::attention);
  const double lora = static_cast<double>(saved_loras * adapters * plan.shape.spec.numel_per_layer(rank)) *
                      static_cast<double>(at::elementSize(plan.type));
  return {static_cast<double>(planned_bytes(plan_of_layers, each, tokens)) + lora,
          work_of(static_cast<double>(tokens * (each.inputs + std::max(each.attention, each.mlp))), recomputed)};
}

/// Bytes that an encoder layer saves per token.
/// @param length  of the sequences it attends over
double encoder_bytes(const Plan& plan, std::int64_t width, std::int64_t feedforward, std::int64_t heads,
                     std::int64_t length) {
  const auto d = static_cast<double>(width), ff = static_cast<double>(feedforward);
  const auto operand = static_cast<double>(at::elementSize(plan.m2p_type));
  // x, the sum before each norm and what is between them; q, k, v, the heads' output, the inner values.
  if (plan.m2p_on_cpu_backend) return 4 * d * kFloatBytes + (4 * d + ff) * operand;
  const auto scores = static_cast<double>(heads) * kFloatBytes;
  // The norms' and the gelu's inputs; the operands of all products.
  if (plan.m2p_type == at::kBFloat16) return (2 * d + ff) * kFloatBytes + (7 * d + ff) * operand + scores;
  return (8 * d + 2 * ff) * kFloatBytes + scores * static_cast<double>(length);
}

Held encoder_layers(const Plan& plan) {
  const M2pConfig& m2p = plan.m2p;
  const std::int64_t width = plan.shape.hidden_size, layers = plan.shape.spec.layers;
  Held held;
  const auto add = [&](std::int64_t tokens, std::int64_t d, std::int64_t ff, std::int64_t heads, std::int64_t length) {
    const double whole = static_cast<double>(tokens) * encoder_bytes(plan, d, ff, heads, length);
    // Products of narrower operands save the weights that they round.
    const double rounded = plan.m2p_type == at::kBFloat16 && !plan.m2p_on_cpu_backend
                               ? static_cast<double>(4 * d * d + 2 * d * ff) * 2.0
                               : 0.0;
    held.saved += plan.config.model.recompute ? static_cast<double>(tokens * d) * kFloatBytes : whole + rounded;
    held.work = std::max(held.work, work_of(whole, plan.config.model.recompute) + rounded);
  };
  for (std::int64_t i = 0; i < m2p.num_layers; ++i) {
    const bool across_layers = (i % 2 == 0) == m2p.layers_first;
    add(plan.samples * layers * plan.memory, width, m2p.feedforward, m2p.heads, across_layers ? layers : plan.memory);
  }
  const std::int64_t couples = plan.shape.memory_tokens * width / m2p.couple_width;
  for (std::int64_t i = 0; i < m2p.couple_layers; ++i) {
    add(plan.samples * layers * couples, m2p.couple_width, m2p.couple_feedforward, m2p.couple_heads, couples);
  }
  return held;
}

Held linear_layers(const Plan& plan) {
  const M2pConfig& m2p = plan.m2p;
  const double tokens = static_cast<double>(plan.samples * plan.shape.spec.layers * plan.memory),
               width = static_cast<double>(plan.shape.hidden_size), inner = static_cast<double>(m2p.linear_hidden);
  Held held;
  for (std::int64_t i = 0; i < m2p.num_layers; ++i) {  // the product's operand and the gelu's input
    const double in = i == 0 ? width : inner, out = i + 1 == m2p.num_layers ? 2 * width : inner;
    held.saved += tokens * (in * static_cast<double>(at::elementSize(plan.m2p_type)) + out * kFloatBytes);
  }
  held.work = tokens * 2 * std::max(width, inner) * kFloatBytes;
  return held;
}

Held memory_to_params(const Plan& plan) {
  switch (plan.m2p.kind) {
    case M2pKind::transformer: return encoder_layers(plan);
    case M2pKind::linear:
    case M2pKind::lineargate: return linear_layers(plan);
  }
  return {};
}

/// Logits and the loss's working memory.
double loss_bytes(const Plan& plan) {
  const double values = static_cast<double>(plan.samples * plan.config.text.conversation_max_length) *
                        static_cast<double>(plan.model.vocab_size);
  const double narrow = plan.type == at::kBFloat16 ? 2 : 0;
  const double of_logit = 2 * kFloatBytes + narrow;
  if (!plan.hypernetwork) return values * (of_logit + kFloatBytes);  // with a head that is trained, all at once
  if (plan.backend == SublayerBackend::cpu) return 0;                // strips of the vocabulary
  return std::min(values, static_cast<double>(cross_entropy_chunk_values(plan.device))) *
         (plan.loss_in_place ? kFloatBytes - narrow : of_logit);
}

double activation_bytes(const Plan& plan) {
  const TextConfig& text = plan.config.text;
  const double loss = loss_bytes(plan);
  if (!plan.hypernetwork) {
    const Held pass = decoder_pass(plan, text.conversation_max_length, /*adapters=*/0, /*rank=*/0);
    return pass.saved + std::max(loss, pass.work);
  }
  const HypernetworkConfig& network = plan.config.hypernetwork;
  const std::int64_t meta_rank =
      network.meta_lora_rank + std::max<std::int64_t>(0, plan.config.stage.extra_meta_lora_rank);
  const Held context = decoder_pass(plan, text.context_max_length + plan.memory, /*adapters=*/1, meta_rank);
  const Held conversation = decoder_pass(plan, text.conversation_max_length, plan.samples, network.lora_rank);
  const Held m2p = memory_to_params(plan);
  // Memory states and the generated vector; the LoRAs cut from it, and their gradients.
  const std::int64_t layers = plan.shape.spec.layers, width = plan.shape.hidden_size;
  const double generated = kFloatBytes * static_cast<double>(plan.samples * layers) *
                           static_cast<double>((plan.memory + plan.shape.memory_tokens) * width +
                                               2 * plan.shape.spec.numel_per_layer(network.lora_rank));
  // From the end of the forward on, each part's backward frees what was saved for it.
  return context.saved + std::max({m2p.saved + generated + conversation.saved + std::max(loss, conversation.work),
                                   m2p.saved + generated + m2p.work, context.work});
}

}  // namespace

MemoryEstimate estimate_memory(const ExperimentConfig& config, const DecoderConfig& model, std::int64_t frozen,
                               std::int64_t trained, c10::DeviceType device) {
  const Plan plan = plan_of(config, model, device);
  MemoryEstimate estimate;
  estimate.frozen = static_cast<double>(frozen) * static_cast<double>(at::elementSize(plan.type));
  if (plan.backend == SublayerBackend::cpu) {
    double projections = 0;
    for (const ProjectionSpec& p : plan.shape.spec.projections) projections += static_cast<double>(p.in * p.out);
    estimate.copies = projections * static_cast<double>(model.layers) * 4.0;  // one in float32, two in bfloat16
  }
  estimate.trained = static_cast<double>(trained) * 16.0;  // weights, gradients, two moments
  estimate.activations = activation_bytes(plan);
  if (config.checkpoint.background) estimate.snapshot = static_cast<double>(trained) * 12.0;  // weights and moments
  return estimate;
}

}  // namespace shine
