#pragma once

#include <vector>

#include "app/build/stage_builder.h"
#include "data/dataset.h"
#include "train/stage.h"

namespace shine {

/// The stages that train a hypernetwork around the frozen backbone of model.path. They differ in the data, and so in
/// `build`.
class HypernetworkStage : public StageBuilder {
 public:
  using StageBuilder::StageBuilder;

  std::filesystem::path decoder_config() const override;
  std::int64_t passes() const override { return 2; }  // contexts, then conversations
  bool has_hypernetwork() const override { return true; }
  void add_tokens(Tokenizer& tokenizer) const override;
  void fill(Decoder& decoder) const override;
  void complete(Experiment& experiment, const std::optional<WeightsSource>& weights) const override;
  void check_weights(Decoder& decoder, const WeightsSource& weights) const override;
  TrainedParts describe(Decoder& decoder) const override;

 protected:
  /// Objective, penalty, and what a checkpoint holds; without data.
  Stage stage_of(const Experiment& experiment) const;
};

/// Adds two controls: the LoRA of another context, which must not help, and no LoRA, which shows what the backbone
/// knows by itself.
void add_controls(const Experiment& experiment, const std::shared_ptr<const Dataset>& dataset, const char* shifted_name,
                  Stage& stage);

}  // namespace shine
