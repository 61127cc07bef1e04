#pragma once

#include <ATen/core/Tensor.h>

#include <limits>

#include "shine/common/api.h"
#include "shine/hypernetwork/hypernetwork.h"
#include "shine/nn/parameter.h"
#include "shine/train/model_batch.h"

namespace shine {

/// What a batch contributes; nothing is added up, so that any average can be made of it, and of any part of its
/// samples.
struct ObjectiveValue {
  at::Tensor losses;     ///< (n), cross-entropy of each labelled token
  at::Tensor penalties;  ///< (B), L1 norm of each sample's generated vector; undefined: none asked
};

/// What is minimised. Labels count by ModelBatch::labelled.
class SHINE_API Objective {
 public:
  virtual ~Objective() = default;
  virtual ObjectiveValue forward(const ModelBatch& batch) const = 0;

  /// The leaves it trains, by checkpoint name.
  virtual std::vector<TrainedParameter> trained() const = 0;

  /// Ids from here on are no labels: tokens that the model reads but cannot write.
  virtual std::int64_t softmax_size() const { return std::numeric_limits<std::int64_t>::max(); }
};

/// SHINE: the conversation's loss under the LoRA generated from the context (paper section 3).
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

/// Plain causal language modelling of the conversations with the decoder itself; contexts are not read. With a frozen
/// decoder: what can be had without any LoRA.
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
