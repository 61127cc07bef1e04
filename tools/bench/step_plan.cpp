#include "bench/step_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace shine::bench {
namespace {

using Json = nlohmann::ordered_json;

Json lengths_of(const std::vector<ModelBatch>& batches) {
  Json step = Json::array();
  for (const ModelBatch& batch : batches) {
    Json samples = Json::array();
    for (std::int64_t row = 0; row < batch.samples(); ++row) {
      samples.push_back({batch.contexts.layout.length(row), batch.conversations.layout.length(row)});
    }
    step.push_back(std::move(samples));
  }
  return step;
}

}  // namespace

std::int64_t count_trained(const Hypernetwork& hypernetwork) {
  std::int64_t count = 0;
  for (const TrainedParameter& named : hypernetwork.trained()) count += named.tensor.numel();
  return count;
}

Json step_plan(const BenchSize& size, const StepOptions& options) {
  Decoder decoder(size.decoder, {});
  const Hypernetwork hypernetwork(decoder, {.config = size.hypernetwork});
  const M2pConfig m2p = resolve_m2p_config(size.hypernetwork.m2p, hypernetwork.shape());
  Json plan{{"size", size.name},
            {"model",
             {{"vocab_size", size.decoder.vocab_size},
              {"hidden_size", size.decoder.hidden_size},
              {"intermediate_size", size.decoder.intermediate_size},
              {"layers", size.decoder.layers},
              {"heads", size.decoder.heads},
              {"kv_heads", size.decoder.kv_heads},
              {"head_dim", size.decoder.head_dim},
              {"max_positions", size.decoder.max_positions},
              {"rope_theta", size.decoder.rope_theta},
              {"rms_norm_eps", size.decoder.rms_norm_eps},
              {"tied_embeddings", size.decoder.tied_embeddings}}},
            {"hypernetwork",
             {{"lora_rank", size.hypernetwork.lora_rank},
              {"meta_lora_rank", size.hypernetwork.meta_lora_rank},
              {"memory_tokens", hypernetwork.shape().memory_tokens},
              {"m2p_layers", m2p.num_layers},
              {"m2p_heads", m2p.heads},
              {"m2p_feedforward", m2p.feedforward}}},
            {"frozen_parameters", count_parameters(decoder)},
            {"trained_parameters", count_trained(hypernetwork)},
            {"longest", {size.contexts.longest, size.conversations.longest}},
            {"batches", Json::array()}};
  for (int step = 0; step < std::max(options.warmup, options.steps); ++step) {
    plan["batches"].push_back(lengths_of(draw_batches(size, options.seed, static_cast<std::uint64_t>(step), at::kCPU)));
  }
  return plan;
}

}  // namespace shine::bench
