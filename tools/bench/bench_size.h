#pragma once

#include <string>
#include <vector>

#include "shine/config/hypernetwork_config.h"
#include "shine/decoder/decoder_config.h"
#include "shine/train/model_batch.h"

namespace shine::bench {

/// Lengths drawn uniformly, both ends included.
struct LengthRange {
  std::int64_t shortest = 0, longest = 0;
};

/// A model and the batches it is measured with.
struct BenchSize {
  std::string name;
  DecoderConfig decoder;
  HypernetworkConfig hypernetwork;
  LengthRange contexts, conversations;  ///< tokens
  std::int64_t batch = 1;               ///< samples in a micro-batch
  std::int64_t accumulation = 1;        ///< micro-batches in an optimizer step
  bool weights_on_device = false;       ///< drawn where they are used, and so not the same on every device
};

/// The names that find_size knows.
std::vector<std::string> size_names();

/// Throws ConfigError for an unknown name.
BenchSize find_size(const std::string& name);

/// One row of random ids for each of `rows` contexts.
std::vector<std::vector<std::int64_t>> draw_contexts(const BenchSize& size, std::uint64_t seed, std::int64_t rows);

/// The micro-batches of optimizer step `step`: random ids, of each conversation the last three quarters labelled (the
/// answer). The same for the same seed and step.
std::vector<ModelBatch> draw_batches(const BenchSize& size, std::uint64_t seed, std::uint64_t step, at::Device device);

}  // namespace shine::bench
