// Tiny random backbones with generated adapters in every form, and what they compute: for scripts/interop_test.sh,
// which has other tools compute it again. make_cases FOLDER
#include <ATen/ATen.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapter/merged_model.h"
#include "common/format.h"
#include "common/main_guard.h"
#include "decoder/tiny_model.h"
#include "io/files/text_file.h"
#include "io/safetensors/model_files.h"
#include "shine/adapter/adapter.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"
#include "shine/eval/generation.h"
#include "shine/io/safetensors.h"
#include "shine/tensor/torch_tensor.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kVocabulary = 128, kGreedyTokens = 12;

struct Backbone {
  std::string family;
  DecoderConfig config;
  Json json;  ///< config.json
};

/// Sizes of which no two are equal, so that no transposed matrix fits.
Backbone make_backbone(const std::string& family) {
  const bool qwen3 = family == "qwen3";
  Json json{{"architectures", {qwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM"}},
            {"model_type", family},
            {"vocab_size", kVocabulary},
            {"hidden_size", 64},
            {"intermediate_size", 96},
            {"num_hidden_layers", 3},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"head_dim", qwen3 ? 32 : 16},
            {"max_position_embeddings", 256},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 10000.0},
            {"hidden_act", "silu"},
            {"tie_word_embeddings", qwen3},
            {"attention_bias", false},
            {"torch_dtype", "float32"},
            {"bos_token_id", 1},
            {"eos_token_id", 2}};
  return {family, {}, std::move(json)};
}

void write_backbone(const fs::path& folder, Backbone& backbone) {
  fs::create_directories(folder);
  write_file_atomically(folder / "config.json", backbone.json.dump(2) + "\n");
  backbone.config = read_decoder_config(folder / "config.json");
  const auto decoder = tiny_decoder(backbone.config);
  NamedRawTensors tensors;
  for (const auto& slot : decoder->named_parameters()) tensors.emplace_back(slot.key(), to_raw(slot.value()));
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

/// The generated LoRA of a drawn context, by a hypernetwork with drawn weights.
Adapter generate(Decoder& decoder, const std::string& backbone, std::int64_t rank, LoraReshape reshape,
                 std::uint64_t seed) {
  HypernetworkOptions options = tiny_options();
  options.config.lora_rank = rank;
  options.config.reshape = reshape;
  const auto hypernetwork = tiny_hypernetwork(decoder, options);
  const at::NoGradGuard no_grad;
  const TokenRows context = TokenRows::pack({random_ids(40, seed, kVocabulary)}, at::kCPU);
  Adapter adapter;
  adapter.tree = hypernetwork->generate(context).tree;
  adapter.metadata = {"0123456789abcdef", backbone, "tiny", "shine make_cases"};
  adapter.where = "a drawn context";
  return adapter;
}

at::Tensor logits_of(const Decoder& decoder, const LoraTree* lora, const std::vector<std::int64_t>& ids) {
  const at::NoGradGuard no_grad;
  return decoder.logits(decoder.forward(TokenRows::pack({ids}, at::kCPU), lora)).contiguous();  // (T, V)
}

at::Tensor greedy_of(const Decoder& decoder, const LoraTree* lora, const std::vector<std::int64_t>& ids) {
  GenerationOptions options;
  options.decoding.max_new_tokens = kGreedyTokens;
  const auto texts = GenerationSession(decoder, lora, 1).generate({ids}, options);
  return at::tensor(texts.front().ids, at::kLong);
}

void write_answers(const fs::path& file, const Decoder& decoder, const LoraTree& lora,
                   const std::vector<std::int64_t>& ids) {
  write_safetensors(file, {{"ids", to_raw(at::tensor(ids, at::kLong))},
                           {"plain", to_raw(logits_of(decoder, nullptr, ids))},
                           {"adapted", to_raw(logits_of(decoder, &lora, ids))},
                           {"greedy", to_raw(greedy_of(decoder, &lora, ids))}});
}

class CaseWriter {
 public:
  explicit CaseWriter(fs::path folder) : folder_(std::move(folder)) {}

  void family(const std::string& name) {
    Backbone backbone = make_backbone(name);
    const fs::path model = folder_ / name / "backbone";
    write_backbone(model, backbone);
    Decoder decoder(backbone.config, {});
    load_decoder(decoder, model);
    fingerprint_ = hex_digits(ModelFiles(model).fingerprint());
    for (const std::int64_t rank : {2, 8, 16}) {
      for (const LoraReshape reshape : {LoraReshape::rl, LoraReshape::rr, LoraReshape::lr, LoraReshape::ll}) {
        const Adapter adapter =
            generate(decoder, fingerprint_, rank, reshape, /*seed=*/static_cast<std::uint64_t>(rank));
        for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) one(name, decoder, adapter, reshape, dtype);
      }
    }
    two(name, decoder);
  }

  void finish() { write_file_atomically(folder_ / "cases.json", cases_.dump(1) + "\n"); }

 private:
  /// What is computed is the adapter as it was written: rounded, where its dtype is bfloat16.
  void one(const std::string& family, Decoder& decoder, const Adapter& adapter, LoraReshape reshape,
           at::ScalarType dtype) {
    const std::string dtype_name = dtype == at::kFloat ? "float32" : "bfloat16";
    const std::string name = str("r", adapter.tree.rank(), "-", enum_name(reshape), "-", dtype_name);
    const fs::path folder = folder_ / family / name;
    write_forms(folder, adapter, decoder.config(), dtype);
    const Adapter written = read_adapter(folder / "shine", decoder.config());
    write_merged_model(folder / "merged", written, folder_ / family / "backbone", decoder.config());
    write_answers(folder / "answers.safetensors", decoder, written.tree, random_ids(24, 77, kVocabulary));
    cases_.push_back({{"family", family}, {"name", name}, {"dtype", dtype_name}});
  }

  void two(const std::string& family, Decoder& decoder) {
    const Adapter first = generate(decoder, fingerprint_, 8, LoraReshape::rl, 1),
                  second = generate(decoder, fingerprint_, 2, LoraReshape::rl, 2);
    const fs::path folder = folder_ / family / "two";
    write_forms(folder / "first", first, decoder.config(), at::kFloat);
    write_forms(folder / "second", second, decoder.config(), at::kFloat);
    const Adapter sum = combine_adapters({{first, 0.7}, {second, 0.3}});
    write_forms(folder / "sum", sum, decoder.config(), at::kFloat);
    write_answers(folder / "answers.safetensors", decoder, sum.tree, random_ids(24, 78, kVocabulary));
  }

  static void write_forms(const fs::path& folder, const Adapter& adapter, const DecoderConfig& config,
                          at::ScalarType dtype) {
    fs::create_directories(folder);
    for (const AdapterFormat format : {AdapterFormat::shine, AdapterFormat::peft, AdapterFormat::mlx}) {
      write_adapter(folder / enum_name(format), adapter, config, {format, dtype});
    }
    write_adapter(folder / "adapter.gguf", adapter, config, {AdapterFormat::gguf, dtype});
  }

  fs::path folder_;
  std::string fingerprint_;  ///< of the family's backbone
  Json cases_ = Json::array();
};

}  // namespace
}  // namespace shine::test

int main(int argc, char** argv) {
  return shine::run_main("make_cases", [&] {
    if (argc != 2) throw shine::ConfigError("expected one folder", "command line", "make_cases FOLDER");
    shine::test::CaseWriter writer{argv[1]};
    writer.family("qwen3");
    writer.family("llama");
    writer.finish();
    return 0;
  });
}
