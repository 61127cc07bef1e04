#pragma once

#include "shine/decoder/decoder_config.h"

namespace shine::bench {

/// What one step of decoding has to do with memory.
struct DecodeStep {
  std::int64_t rows = 1;          ///< decoded together
  std::int64_t tokens = 0;        ///< that each row's cache holds
  std::int64_t lora_rank = 0;     ///< of each row's LoRA; 0: none
  std::int64_t element_size = 4;  ///< bytes of a value of weights, keys and LoRAs
};

/// Bytes that one step reads at least: every weight of the layers and of the head once, each row's keys and values,
/// each row's LoRA. One token a row comes out of it.
double bytes_per_step(const DecoderConfig& config, const DecodeStep& step);

}  // namespace shine::bench
