#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/config/chat_format_choice.h"
#include "shine/config/constraint.h"
#include "shine/config/stage_name.h"

namespace shine {

/// all: the softmax is over every row of the output matrix; tokenizer: only over rows that the tokenizer has
/// (published).
enum class VocabularyUse { all, tokenizer };
constexpr std::array<std::string_view, 2> config_names(VocabularyUse) {
  return {"all", "tokenizer"};
}

/// parse: strings like <|im_end|> inside a text become special tokens; escape: they stay ordinary text.
enum class SpecialTokenUse { parse, escape };
constexpr std::array<std::string_view, 2> config_names(SpecialTokenUse) {
  return {"parse", "escape"};
}

/// texts: documents; questions: contexts with questions or conversations about them (data/qa_items.h).
enum class DataForm { texts, questions };
constexpr std::array<std::string_view, 2> config_names(DataForm) {
  return {"texts", "questions"};
}

/// shuffled: any samples together; by_length: samples of similar length share an optimizer step.
enum class SampleOrder { shuffled, by_length };
constexpr std::array<std::string_view, 2> config_names(SampleOrder) {
  return {"shuffled", "by_length"};
}

/// What happens to a text, context or conversation above its maximum length. drop: the sample is left out; cut: its end
/// is cut; split: a text becomes consecutive pieces; a conversation continues in further samples with the same context
/// (a single turn or a context over the limit is dropped); auto: texts are cut (published), questions dropped.
enum class OverLong { drop, cut, split, automatic };
constexpr std::array<std::string_view, 4> config_names(OverLong) {
  return {"drop", "cut", "split", "auto"};
}

/// How the L1 norms of the generated vectors are reduced: mean over the step's samples, or plain sum (published).
enum class RegularizerForm { mean, sum };
constexpr std::array<std::string_view, 2> config_names(RegularizerForm) {
  return {"mean", "sum"};
}

/// Tokenizer and lengths in tokens.
struct TextConfig {
  std::string tokenizer;
  VocabularyUse vocabulary = VocabularyUse::all;
  SpecialTokenUse special_tokens = SpecialTokenUse::parse;
  ChatFormatChoice chat_format = ChatFormatChoice::automatic;
  int64_t context_max_length = 1141;
  int64_t conversation_max_length = 1150;

  bool operator==(const TextConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("tokenizer", tokenizer,
      "folder with tokenizer.json, tokenizer.model, or vocab.json and merges.txt; empty = model.path", file_path());
    v("vocabulary", vocabulary, "rows in the softmax: all of the model's, or the tokenizer's only (published)");
    v("special_tokens", special_tokens, "special-token strings inside texts: parse (published) or escape");
    v("chat_format", chat_format,
      "how conversations are written; auto = as the tokenizer's chat template, none = plain lines, for base models");
    v("context_max_length", context_max_length, "longest context, tokens", at_least(1), unused_in(StageName::backbone));
    v("conversation_max_length", conversation_max_length, "longest conversation or document, tokens", at_least(2));
  }
};

/// What is trained and on which task.
struct StageConfig {
  StageName name = StageName::pretrain;
  std::string init_from;
  bool allow_unfinished = false;
  bool from_scratch = false;
  std::string meta_lora_from;
  double completion_frequency = 0.5;
  double completion_drop_min = 0.1;
  double completion_drop_max = 0.3;
  bool collapse_whitespace = false;
  bool train_new_tokens = true;
  double adapter_reg = 0.0;
  RegularizerForm adapter_reg_form = RegularizerForm::mean;
  double repeat_share = 0.0;
  double reconstruction_share = 0.0;
  int64_t extra_meta_lora_rank = -1;

  bool operator==(const StageConfig&) const = default;

  template <class V>
  void visit(V& v) {
    const UnusedRule hypernetwork_only = unused_in(StageName::backbone);
    const UnusedRule pretrain_only = only_in(StageName::pretrain);
    const UnusedRule tuning_only = only_in(StageName::ift_mqa, StageName::ift_1qa);
    const UnusedRule without_completion = unused_with("completion_frequency", {"0"});
    v("name", name, "training stage");
    v("init_from", init_from, "weights to start from: a run's folder, a checkpoint, or a published folder", file_path(),
      hypernetwork_only);
    v("allow_unfinished", allow_unfinished, "start from the newest checkpoint of a run that is not finished",
      hypernetwork_only, kMayChange);
    v("from_scratch", from_scratch, "stages ift_mqa and ift_1qa: start from new weights, without init_from",
      tuning_only);
    v("meta_lora_from", meta_lora_from,
      "adapter that a new Meta-LoRA starts as: a folder of PEFT, MLX or shine_export, or a GGUF file", file_path(),
      hypernetwork_only);
    v("completion_frequency", completion_frequency, "probability of completion instead of reconstruction",
      in_range(0, 1), pretrain_only);
    v("completion_drop_min", completion_drop_min, "smallest share of words dropped from the context", in_range(0, 1),
      pretrain_only, without_completion);
    v("completion_drop_max", completion_drop_max, "largest share of words dropped from the context", in_range(0, 1),
      pretrain_only, without_completion);
    v("collapse_whitespace", collapse_whitespace, "kept words are joined by single spaces (published)", pretrain_only,
      without_completion);
    v("train_new_tokens", train_new_tokens, "train the embedding rows made for added tokens", hypernetwork_only);
    v("adapter_reg", adapter_reg, "weight of the L1 norm of the generated vector", at_least(0), hypernetwork_only);
    v("adapter_reg_form", adapter_reg_form, "reduction of that norm over samples", hypernetwork_only,
      unused_with("adapter_reg", {"0"}));
    v("repeat_share", repeat_share,
      "stage backbone: share of documents, or of samples, turned into a conversation that repeats the text",
      in_range(0, 1), only_in(StageName::backbone));
    v("reconstruction_share", reconstruction_share, "share of samples that ask for the context itself (<RECON>)",
      in_range(0, 1), tuning_only);
    v("extra_meta_lora_rank", extra_meta_lora_rank,
      "-1: train the Meta-LoRA; 0: freeze it; above 0: freeze it and train a second one of this rank", at_least(-1),
      tuning_only);
  }
};

/// Training and validation data. Texts: .txt (documents split by a line) or .jsonl (a field `text`); questions: .jsonl.
struct DataConfig {
  DataForm form = DataForm::texts;
  std::vector<std::string> train;
  std::vector<std::string> validation;
  double validation_share = 0.0001;
  std::string separator;
  int64_t max_texts = 0;
  int64_t open_groups = 100;
  SampleOrder order = SampleOrder::shuffled;
  OverLong over_long = OverLong::automatic;
  bool check_overlap = true;

  bool operator==(const DataConfig&) const = default;

  template <class V>
  void visit(V& v) {
    const UnusedRule of_texts = only_with("data.form", {"texts"});
    const UnusedRule of_questions = only_with("data.form", {"questions"});
    v("form", form, "what the files of stage backbone hold; stage pretrain reads texts, ift_mqa and ift_1qa questions",
      only_in(StageName::backbone));
    v("train", train, "training files, .txt or .jsonl", file_path());
    v("validation", validation, "validation files; empty = split off the training texts", file_path());
    v("validation_share", validation_share, "share of the training texts split off for validation", from_to_below(0, 1),
      UnusedRule{{{"validation", {"[]"}, /*negated=*/true}}, "beside data.validation"});
    v("separator", separator, "line between documents of a .txt file; empty = a blank line",
      unused_in(StageName::ift_mqa, StageName::ift_1qa), of_texts);
    v("max_texts", max_texts, "most training texts, or contexts with questions, that are read; 0 = all", at_least(0));
    v("order", order, "order of the samples of an epoch; by_length puts samples of similar length into a step");
    v("open_groups", open_groups, "groups kept open while texts are packed; 0 = every text is a group by itself",
      at_least(0), only_in(StageName::pretrain));
    v("over_long", over_long,
      "texts, contexts and conversations above their maximum length; split makes consecutive pieces of texts and "
      "conversations, drop is for questions alone; auto = cut for texts, drop for questions",
      of_questions);
    v("check_overlap", check_overlap, "questions: a context in both training and validation data is an error",
      unused_in(StageName::pretrain), of_questions);
  }
};

}  // namespace shine
