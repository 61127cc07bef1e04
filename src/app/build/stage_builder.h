#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "data/qa/qa_prompts.h"
#include "shine/app/builders.h"
#include "train/stage.h"

namespace shine {

/// What a stage trains, for people and for the memory estimate.
struct TrainedParts {
  std::string text;                ///< lines on the parts beside the backbone
  std::int64_t parameters = 0;     ///< trained, in all
  bool backbone = false;           ///< trained, not frozen
  std::int64_t memory_tokens = 0;  ///< behind a context
};

/// What a stage trains on.
struct TrainingData {
  std::shared_ptr<const Dataset> samples;  ///< null without a tokenizer
  std::size_t train = 0, validation = 0;   ///< texts, or contexts with questions
};

/// What a stage builds from a configuration: its models, which parts are trained, and on which data. Everything in
/// which stages differ is behind this interface: a stage is a class in a file of its own and a case in
/// make_stage_builder.
class StageBuilder {
 public:
  /// @param config  must outlive this object
  explicit StageBuilder(const ExperimentConfig& config) : config_(config) {}
  virtual ~StageBuilder() = default;

  /// The backbone's config.json.
  virtual std::filesystem::path decoder_config() const = 0;

  /// Passes over a micro-batch whose saved activations are in memory at the same time.
  virtual std::int64_t passes() const = 0;

  /// Whether it trains a model that generates LoRAs.
  virtual bool has_hypernetwork() const = 0;

  /// Tokens that the stage needs beside the tokenizer's own.
  virtual void add_tokens(Tokenizer& tokenizer) const = 0;

  /// The decoder's first weights.
  virtual void fill(Decoder& decoder) const = 0;

  /// Builds what the stage needs beside the tokenizer and decoder, which exist. Throws ConfigError where they do not
  /// fit.
  /// @param weights  as build_model
  virtual void complete(Experiment& experiment, const std::optional<WeightsSource>& weights) const = 0;

  /// Throws what starting from the weights would throw where they do not fit.
  /// @param decoder  of the shapes alone
  virtual void check_weights(Decoder& decoder, const WeightsSource& weights) const = 0;

  /// @param decoder  of the shapes alone, without values
  virtual TrainedParts describe(Decoder& decoder) const = 0;

  /// Reads the data without any model. Throws what a run would throw.
  /// @param experiment  its tokenizer, with the stage's tokens, is used; null: nothing is cut into samples
  virtual TrainingData training_data(const Experiment& experiment) const = 0;

  /// Data sets and objective over the experiment's models, which must be built.
  virtual Stage build(const Experiment& experiment) const = 0;

 protected:
  const ExperimentConfig& config_;
};

std::unique_ptr<StageBuilder> pretrain_stage(const ExperimentConfig& config);
std::unique_ptr<StageBuilder> instruction_stage(const ExperimentConfig& config, QaForm form);
std::unique_ptr<StageBuilder> backbone_stage(const ExperimentConfig& config);

/// The builder of stage.name.
std::unique_ptr<StageBuilder> make_stage_builder(const ExperimentConfig& config);

/// Datasets and objective of the configured stage; the experiment's models must be built.
Stage build_stage(const Experiment& experiment);

/// Rows that the tokenizer's ids need beyond the embedding matrix.
inline std::int64_t missing_rows(const Decoder& decoder, const Tokenizer& tokenizer) {
  return std::max<std::int64_t>(0, tokenizer.size() - decoder.config().vocab_size);
}

}  // namespace shine
