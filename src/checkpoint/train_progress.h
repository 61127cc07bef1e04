#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "data/sampling/sampler.h"

namespace shine {

/// Where a run stands, besides its tensors. Every random choice of the data is drawn from (seed, epoch, index), so the
/// sampler's position is all the random state of the data.
struct TrainProgress {
  std::int64_t step = 0;             ///< optimizer steps done, skipped ones too
  std::int64_t total_steps = 0;      ///< of the whole schedule; 0: unknown
  std::int64_t optimizer_steps = 0;  ///< the optimizer's own count
  std::int64_t validated_step = -1;  ///< the last step at which all validation sets were scored; -1: none
  SamplerState sampler;
  std::int64_t tokens = 0;                                           ///< real tokens seen
  std::int64_t labels = 0;                                           ///< labelled tokens trained on
  std::int64_t dropped = 0;                                          ///< micro-batches dropped
  std::int64_t skipped = 0;                                          ///< steps skipped
  std::int64_t context_tokens_cut = 0, conversation_tokens_cut = 0;  ///< by the maximum lengths
  double seconds = 0.0;                                              ///< spent training
  /// Dataset::fingerprint of the training data ("train") and of each validation set, by name.
  std::map<std::string, std::uint64_t> data_fingerprints;

  bool operator==(const TrainProgress&) const = default;
};

/// What wrote a checkpoint: explains differences between runs.
struct Provenance {
  std::string program;                           ///< release and git revision
  std::map<std::string, std::string> libraries;  ///< {"libtorch": "2.11.0"}
  std::string device;                            ///< "cpu", "cuda:0"
  std::int64_t threads = 0;                      ///< CPU threads of each rank
  std::int64_t ranks = 1;                        ///< processes

  bool operator==(const Provenance&) const = default;
};

}  // namespace shine
