#pragma once

#include <string>
#include <vector>

#include "app/adapt/adapter_identity.h"
#include "app/adapt/context_ids.h"
#include "shine/adapter/adapter.h"
#include "shine/app/builders.h"
#include "shine/common/api.h"

namespace shine {

/// Makes adapters of contexts, with what an adapter says of itself. The fingerprints are taken once.
class SHINE_API AdapterGenerator {
 public:
  /// @param experiment  of build_model with `weights`; must outlive this object. Throws ConfigError for a stage that
  ///                    generates no LoRA, and what reading the weights' and the backbone's files throws.
  AdapterGenerator(const Experiment& experiment, const WeightsSource& weights);

  /// One adapter per context, in order, made in one pass. The Meta-LoRA is not inside. Throws Error for a LoRA that is
  /// not finite.
  std::vector<Adapter> generate(const std::vector<ContextIds>& contexts) const;

  /// What the adapter of the context will say of itself.
  AdapterMetadata metadata(const ContextIds& context) const;

 private:
  const Experiment& experiment_;
  AdapterSource source_;
  std::string where_;
};

/// The adapter of one text: encode_context and AdapterGenerator::generate. Throws what they throw.
SHINE_API Adapter generate_adapter(const Experiment& experiment, const WeightsSource& weights, const NamedText& context,
                                   LongContext over_long = LongContext::error);

}  // namespace shine
