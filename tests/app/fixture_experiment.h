#pragma once

#include <memory>

#include "data/byte_tokenizer.h"
#include "shine/app/builders.h"
#include "shine/checkpoint/weights_source.h"
#include "support/paths.h"

namespace shine::test {

/// Backbone and checkpoint of a fixture of the published implementation, with a tokenizer of bytes.
struct FixtureExperiment {
  explicit FixtureExperiment(double generated_scale = HypernetworkConfig().generated_scale) {
    ExperimentConfig& config = experiment.config;
    config.model.path = (folder() / "backbone").string();
    config.hypernetwork.lora_rank = 2;
    config.hypernetwork.meta_lora_rank = 4;
    config.hypernetwork.generated_scale = generated_scale;
    config.hypernetwork.m2p.heads = 2;
    config.hypernetwork.m2p.feedforward = 128;
    experiment.tokenizer = std::make_shared<ByteTokenizer>();
    experiment.decoder =
        std::make_unique<Decoder>(read_decoder_config(folder() / "backbone/config.json"), DecoderOptions{});
    load_decoder(*experiment.decoder, config.model.path);
    HypernetworkOptions options;
    options.config = config.hypernetwork;
    experiment.hypernetwork = std::make_unique<Hypernetwork>(*experiment.decoder, options);
    experiment.hypernetwork->load(read_weights(weights), "fixture");
  }

  static std::filesystem::path folder() { return golden_dir() / "fixtures/base_0"; }

  const WeightsSource weights = find_weights(folder() / "checkpoint", false);
  Experiment experiment;
};

}  // namespace shine::test
