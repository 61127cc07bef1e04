// A tiny model from scratch: one training step of SHINE, then a LoRA generated from a context, saved and used.
// consumer FOLDER
#include <ATen/ATen.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "shine/common/error.h"
#include "shine/common/version.h"
#include "shine/eval/generation.h"
#include "shine/hypernetwork/hypernetwork.h"
#include "shine/io/safetensors.h"
#include "shine/optim/adamw.h"
#include "shine/tensor/torch_tensor.h"
#include "shine/train/train_step.h"

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::cerr << "consumer: not so: " << what << '\n';
  std::exit(1);
}

shine::DecoderConfig tiny_config() {
  shine::DecoderConfig config;
  config.model_type = "qwen3";
  config.vocab_size = 64;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.max_positions = 128;
  config.tied_embeddings = true;
  config.qk_norm = true;
  return config;
}

shine::HypernetworkOptions tiny_options() {
  shine::HypernetworkOptions options;
  options.config.lora_rank = 2;
  options.config.meta_lora_rank = 4;
  options.config.generated_scale = 0.1;
  options.config.m2p.num_layers = 2;
  return options;
}

shine::Sample sample() {
  constexpr std::int64_t ignored = -100;
  shine::Sample sample;
  sample.context_ids = {5, 9, 13, 17, 21};
  sample.conversation_ids = {3, 7, 11, 15, 19};
  sample.labels = {ignored, ignored, 11, 15, 19};
  return sample;
}

double loss_of(const shine::Objective& objective, const shine::ModelBatch& batch) {
  const at::NoGradGuard no_grad;
  return objective.forward(batch).losses.mean().item<double>();
}

void train_one_step(const shine::Hypernetwork& hypernetwork, const shine::ModelBatch& batch) {
  const shine::ShineObjective objective(hypernetwork, /*with_penalty=*/false);
  const shine::OptimizerConfig config;
  shine::AdamW optimizer(shine::make_param_groups(objective.trained(), config), config);
  const double before = loss_of(objective, batch);
  const shine::StepResult result =
      shine::TrainStep(objective, optimizer, config, shine::PenaltyConfig{}).run({batch}, /*learning_rate=*/1e-3);
  const double after = loss_of(objective, batch);
  std::cout << "loss " << before << " -> " << after << '\n';
  require(!result.skipped && result.labels == 3, "one step on three labels");
  require(after < before, "the loss fell");
}

/// Writes a LoRA and reads it again.
void save(const std::filesystem::path& file, shine::LoraTree lora) {
  shine::NamedRawTensors tensors;
  shine::for_each_tensor(
      lora, [&](const std::string& name, at::Tensor& tensor) { tensors.emplace_back(name, shine::to_raw(tensor)); });
  shine::write_safetensors(file, tensors);
  const shine::SafetensorsFile saved(file);
  require(saved.names().size() == tensors.size(), "every tensor was saved");
  require(at::equal(shine::to_tensor(saved.tensor("1.mlp.down.B")), lora.layers[1][shine::Projection::down].b),
          "what was saved is what was generated");
}

}  // namespace

int main(int argc, char** argv) {
  require(argc == 2, "the folder to write to is given");
  shine::Decoder decoder(tiny_config(), {});
  shine::initialise_decoder(decoder, /*gain=*/1.0, /*seed=*/1);
  shine::Hypernetwork hypernetwork(decoder, tiny_options());
  hypernetwork.initialise(/*seed=*/2);
  std::cout << "shine " << shine::version() << ", " << shine::count_parameters(hypernetwork) << " parameters\n";
  train_one_step(hypernetwork, shine::make_model_batch({sample()}, at::kCPU));

  const at::NoGradGuard no_grad;
  const auto contexts = shine::TokenRows::pack({sample().context_ids}, at::kCPU);
  const shine::LoraTree lora = hypernetwork.generate(contexts).tree;
  const at::Tensor& a = lora.layers[0][shine::Projection::q].a;
  std::cout << "LoRA: " << lora.layers.size() << " layers, " << lora.adapters() << " adapter, rank " << lora.rank()
            << ", A of q " << a.sizes() << '\n';
  require(a.sizes() == at::IntArrayRef({1, 32, 2}), "A of q is (1, H, r)");
  save(std::filesystem::path(argv[1]) / "lora.safetensors", lora);

  shine::GenerationOptions options;
  options.decoding.max_new_tokens = 4;
  const auto texts = shine::GenerationSession(decoder, &lora, 1).generate({{3, 7}}, options);
  require(texts[0].ids.size() == 4, "four tokens were written under the LoRA");

  try {
    shine::read_decoder_config("none.json");
    require(false, "a missing file is an error");
  } catch (const shine::IoError& error) {
    std::cout << error.what() << '\n';
  }
}
