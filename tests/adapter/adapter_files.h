#pragma once

#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/str.h"
#include "shine/decoder/decoder_config.h"
#include "shine/io/safetensors.h"
#include "support/paths.h"

namespace shine::test {

/// Two layers; q (8, 8), k and v (8, 4), o (8, 8), gate and up (8, 6), down (6, 8).
inline DecoderConfig small_decoder(const std::string& model_type = "qwen3") {
  DecoderConfig config;
  config.model_type = model_type;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.intermediate_size = 6;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 4;
  return config;
}

template <class Number>
RawTensor raw_tensor(DType dtype, std::vector<std::int64_t> shape, const std::vector<Number>& numbers) {
  const auto kept = std::make_shared<std::vector<Number>>(numbers);
  return {dtype, std::move(shape), reinterpret_cast<const std::byte*>(kept->data()), kept->size() * sizeof(Number),
          kept};
}

/// first, first + 1, ..
inline RawTensor counting(std::vector<std::int64_t> shape, float first = 1) {
  std::vector<float> numbers;
  for (std::int64_t size = bytes_of(DType::int8, shape).value(); size > 0; --size) numbers.push_back(first++);
  return raw_tensor(DType::float32, std::move(shape), numbers);
}

inline std::vector<float> numbers_of(const RawTensor& tensor) {
  std::vector<float> numbers(tensor.bytes / sizeof(float));
  std::memcpy(numbers.data(), tensor.data, tensor.bytes);
  return numbers;
}

/// A PEFT folder by hand: rank 2 on q_proj of both layers.
struct PeftFiles {
  nlohmann::json config{{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 4}, {"target_modules", {"q_proj"}}};
  RawTensorDict tensors;

  PeftFiles() {
    for (int layer = 0; layer < 2; ++layer) add_pair(str("model.layers.", layer, ".self_attn.q_proj"), 8, 8, 2);
  }

  void add_pair(const std::string& module, std::int64_t in, std::int64_t out, std::int64_t rank) {
    tensors["base_model.model." + module + ".lora_A.weight"] = counting({rank, in});
    tensors["base_model.model." + module + ".lora_B.weight"] = counting({out, rank}, 0.5F);
  }

  /// Gives the tensor another name.
  void rename(const std::string& from, const std::string& to) {
    auto node = tensors.extract(from);
    node.key() = to;
    tensors.insert(std::move(node));
  }

  NamedRawTensors named() const { return {tensors.begin(), tensors.end()}; }

  void write_config(const std::filesystem::path& folder) const {
    write_bytes(folder / "adapter_config.json", config.dump(2));
  }
  void write(const std::filesystem::path& folder) const {
    write_config(folder);
    write_safetensors(folder / "adapter_model.safetensors", named());
  }
};

}  // namespace shine::test
