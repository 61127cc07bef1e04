#pragma once

#include <array>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "shine/config/enum_names.h"
#include "shine/config/key_traits.h"

namespace shine {

/// pretrain: reconstruction and completion through the generated LoRA; ift_mqa, ift_1qa: multi-turn and one-question
/// answering through it; backbone: a causal language model, the decoder itself.
enum class StageName { pretrain, ift_mqa, ift_1qa, backbone };
constexpr std::array<std::string_view, 4> config_names(StageName) {
  return {"pretrain", "ift_mqa", "ift_1qa", "backbone"};
}

/// What the rules between keys ask of a stage.
struct StageTraits {
  bool has_hypernetwork = true;  ///< around the backbone at model.path; else a new backbone is trained
  bool follows_another = false;  ///< starts from stage.init_from, or says stage.from_scratch
  enum class Data { texts, questions, by_form } data = Data::texts;  ///< by_form: as data.form says
};

constexpr StageTraits traits_of(StageName stage) {
  switch (stage) {
    case StageName::pretrain: return {};
    case StageName::ift_mqa: return {.follows_another = true, .data = StageTraits::Data::questions};
    case StageName::ift_1qa: return {.follows_another = true, .data = StageTraits::Data::questions};
    case StageName::backbone: return {.has_hypernetwork = false, .data = StageTraits::Data::by_form};
  }
  return {};
}

/// The key has no effect in these stages.
UnusedRule unused_in(std::same_as<StageName> auto... stages) {
  return {{{"stage.name", {std::string(enum_name(stages))...}}}, "with stage", /*names_value=*/true};
}

/// The key has an effect only in these stages.
UnusedRule only_in(std::same_as<StageName> auto... stages) {
  return {{{"stage.name", {std::string(enum_name(stages))...}, /*negated=*/true}}, "with stage", /*names_value=*/true};
}

}  // namespace shine
