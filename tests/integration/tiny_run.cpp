#include "integration/tiny_run.h"

#include <array>
#include <stdexcept>

namespace shine::test {

namespace {

constexpr std::array<const char*, 7> kWho{"baker", "sailor", "nurse", "painter", "farmer", "tailor", "judge"};
constexpr std::array<const char*, 5> kWhat{"sold", "found", "hid", "drew", "lost"};
constexpr std::array<const char*, 9> kThing{"lamp", "rope", "coin", "boat", "book", "drum", "ring", "gate", "bell"};

std::string sentence(int number) {
  const auto n = static_cast<std::size_t>(number);
  return std::string("The ") + kWho[n % 7] + ' ' + kWhat[n % 5] + " a " + kThing[n % 9] + " on day " +
         std::to_string(number) + ".";
}

std::string question(int number) {
  const auto n = static_cast<std::size_t>(number);
  return std::string(R"({"question": "What did the )") + kWho[n % 7] + R"( see?", "answers": ["a )" + kThing[n % 9] +
         R"("]})";
}

}  // namespace

std::string tiny_texts(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += sentence(i) + "\n\n";
  return text;
}

std::string tiny_questions(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) {
    text += R"({"id": "note-)" + std::to_string(i) + R"(", "source": "tiny", "context": ")" + sentence(2 * i) + ' ' +
            sentence(2 * i + 1) + R"(", "questions": [)" + question(2 * i) + ", " + question(2 * i + 1) + "]}\n";
  }
  return text;
}

std::string tiny_decoder_json() {
  return R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "hidden_size": 32,
 "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
 "max_position_embeddings": 256, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": true,
 "vocab_size": 320, "torch_dtype": "float32"}
)";
}

TinyRun::TinyRun() {
  write_bytes(folder() / "texts.txt", tiny_texts(240));
  write_bytes(folder() / "config.json", tiny_decoder_json());
  write_bytes(folder() / "backbone.yaml",
              "run: {dir: " + file("backbone") + ", device: cpu, max_steps: 10}\n" +
                  "model: {config: " + file("config.json") + "}\n" + "text: {tokenizer: " + file("tokenizer") +
                  ", conversation_max_length: 64}\n" + "stage: {name: backbone, repeat_share: 0.5}\n" +
                  "data: {train: [" + file("texts.txt") + "], validation_share: 0.05}\n" +
                  "optimizer: {learning_rate: 1e-3, batch_size: 4, accumulation: 2}\n"
                  "schedule: {warmup_steps: 2, epochs: 4}\n");
  write_bytes(folder() / "pretrain.yaml", "run: {dir: " + file("run") + ", device: cpu, max_steps: 10}\n" +
                                              "model: {path: " + file("backbone/model") + "}\n" +
                                              "text: {context_max_length: 64, conversation_max_length: 72}\n"
                                              "hypernetwork: {lora_rank: 2, meta_lora_rank: 4}\n" +
                                              "data: {train: [" + file("texts.txt") + "], validation_share: 0.05}\n" +
                                              "optimizer: {learning_rate: 1e-3, batch_size: 2, accumulation: 2}\n"
                                              "schedule: {warmup_steps: 2, epochs: 4}\n"
                                              "validation: {every_steps: 5, max_samples: 4}\n");
  write_bytes(folder() / "questions.jsonl", tiny_questions(0, 40));
  write_bytes(folder() / "held_out.jsonl", tiny_questions(40, 6));
  for (const auto& [stage, previous] : {std::pair{"ift_mqa", "run"}, std::pair{"ift_1qa", "ift_mqa"}}) {
    write_bytes(folder() / (std::string(stage) + ".yaml"),
                "base: pretrain.yaml\nrun: {dir: " + file(stage) +
                    "}\ntext: {context_max_length: 100, conversation_max_length: 120}\nstage: {name: " + stage +
                    ", init_from: " + file(previous) + "}\ndata: {train: [" + file("questions.jsonl") +
                    "], validation: [" + file("held_out.jsonl") + "]}\n");
  }
  const Outcome made = run_program("shine_prepare", {"tokenizer", "--input", file("texts.txt"), "--vocab-size", "300",
                                                     "--output", file("tokenizer")});
  if (made.status != 0) throw std::runtime_error("shine_prepare: " + made.err);
}

Outcome TinyRun::train(const std::string& yaml, std::vector<std::string> overrides) const {
  overrides.insert(overrides.begin(), file(yaml));
  return run_program("shine_train", overrides);
}

}  // namespace shine::test
