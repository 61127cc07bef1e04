#pragma once

#include "shine/decoder/decoder_config.h"

namespace shine::bench {

/// Memory traffic of one step of decoding.
struct DecodeStep {
  std::int64_t rows = 1;          ///< decoded together
  std::int64_t tokens = 0;        ///< that each row's cache holds
  std::int64_t lora_rank = 0;     ///< of each row's LoRA; 0: none
  std::int64_t element_size = 4;  ///< bytes of a value of weights, keys and LoRAs
};

/// The bytes that one step must read: every weight of the layers and of the head once, each row's keys and values,
/// each row's LoRA. It yields one token per row.
double bytes_per_step(const DecoderConfig& config, const DecodeStep& step);

}  // namespace shine::bench
