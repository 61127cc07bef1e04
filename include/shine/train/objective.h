#pragma once

#include <ATen/core/Tensor.h>

#include <limits>

#include "shine/common/api.h"
#include "shine/hypernetwork/hypernetwork.h"
#include "shine/nn/parameter.h"
#include "shine/train/model_batch.h"

namespace shine {

/// What a batch contributes, not yet summed, so that any average over any part of its samples can be taken.
struct ObjectiveValue {
  at::Tensor losses;     ///< (n), cross-entropy of each labelled token
  at::Tensor penalties;  ///< (B), L1 norm of each sample's generated vector; undefined: none asked
};

/// What is minimised. Labels count by ModelBatch::labelled.
class SHINE_API Objective {
 public:
  virtual ~Objective() = default;
  virtual ObjectiveValue forward(const ModelBatch& batch) const = 0;

  /// The tensors it trains, by checkpoint name.
  virtual std::vector<TrainedParameter> trained() const = 0;

  /// Ids from here on cannot be labels: tokens that the model reads but cannot produce.
  virtual std::int64_t softmax_size() const { return std::numeric_limits<std::int64_t>::max(); }
};

/// SHINE: the loss of the conversation under the LoRA generated from the context (paper section 3).
class SHINE_API ShineObjective : public Objective {
 public:
  /// @param with_penalty  also give the L1 norm of the generated vectors
  ShineObjective(const Hypernetwork& hypernetwork, bool with_penalty);
  ObjectiveValue forward(const ModelBatch& batch) const override;
  std::vector<TrainedParameter> trained() const override;
  std::int64_t softmax_size() const override { return hypernetwork_.decoder().softmax_size(); }

 private:
  const Hypernetwork& hypernetwork_;
  bool with_penalty_;
};

/// Causal language modelling of the conversations by the decoder itself; contexts are not read. With a frozen decoder:
/// the score without any LoRA.
class SHINE_API LanguageModelObjective : public Objective {
 public:
  explicit LanguageModelObjective(const Decoder& decoder) : decoder_(decoder) {}
  ObjectiveValue forward(const ModelBatch& batch) const override;

  /// The decoder's weights that require a gradient (see Decoder::set_trained).
  std::vector<TrainedParameter> trained() const override;
  std::int64_t softmax_size() const override { return decoder_.softmax_size(); }

 private:
  const Decoder& decoder_;
};

}  // namespace shine
