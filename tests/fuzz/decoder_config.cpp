// The config.json of a Hugging Face model.
#include "shine/decoder/decoder_config.h"

#include "fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static fuzz::MemoryFile file;
  file.write(fuzz::as_text(data, size));
  fuzz::accepts([&] {
    const DecoderConfig config = read_decoder_config(file.path());
    fuzz::require(config.heads > 0 && config.kv_heads > 0 && config.heads % config.kv_heads == 0, "heads fit");
    fuzz::require(config.head_dim > 0 && config.head_dim % 2 == 0, "heads are even");
    fuzz::require(config.rope_theta > 0 && config.rms_norm_eps > 0, "constants are positive");
    fuzz::require(config.rope_scaling.factor >= 1, "scaled frequencies are lower");
    fuzz::require(config.sliding_window == 0 || config.max_positions <= config.sliding_window, "positions are in it");
    fuzz::require(config.unrotated_layers.empty() || config.unrotated_layers.back() < config.layers, "layers exist");
    fuzz::require(config.lora_spec().layers == config.layers, "each layer has its LoRA");
  });
  return 0;
}
