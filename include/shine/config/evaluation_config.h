#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/constraint.h"
#include "shine/config/key_traits.h"
#include "shine/config/ops_config.h"

namespace shine {

/// How the model gets to know a context: not at all, in the prompt, by a LoRA trained on it, by the generated LoRA, or
/// by a LoRA generated from another context (a control that must score like `naive`).
enum class Method { naive, in_context, sft, shine, shuffled };
constexpr std::array<std::string_view, 5> config_names(Method) {
  return {"naive", "in_context", "sft", "shine", "shuffled"};
}

/// squad: bag-of-tokens F1 of SQuAD; hotpot: yes, no and noanswer must match exactly.
enum class ScoreForm { squad, hotpot };
constexpr std::array<std::string_view, 2> config_names(ScoreForm) {
  return {"squad", "hotpot"};
}

/// True for the name of a Method.
SHINE_API bool is_method_name(std::string_view name);

/// True for a name without a slash: it becomes part of a file name.
SHINE_API bool is_plain_name(std::string_view name);

/// How answers are decoded.
struct DecodingConfig {
  int64_t max_new_tokens = 0;
  double temperature = 0.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  double repetition_penalty = 1.0;
  std::vector<std::string> stop;
  bool cache = true;
  CudaGraph cuda_graph = CudaGraph::automatic;

  bool operator==(const DecodingConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("max_new_tokens", max_new_tokens, "most tokens of an answer; 0 = 500 in multi-turn QA, else 128", at_least(0));
    v("temperature", temperature, "0 = greedy", at_least(0));
    v("top_k", top_k, "sample among the top_k likeliest tokens; 0 = all", at_least(0));
    v("top_p", top_p, "sample among the likeliest tokens of total probability top_p", in_range(0, 1));
    v("repetition_penalty", repetition_penalty, "logits of tokens seen so far are divided by it (multiplied below 0)",
      above(0));
    v("stop", stop,
      "tokens that end an answer; empty = that of text.chat_format (<|im_end|>) and the eos_token_id of "
      "generation_config.json");
    v("cache", cache, "KV cache: keep keys and values of earlier tokens; false recomputes them for each token (slow)",
      kShapesNoAnswer);
    v("cuda_graph", cuda_graph, "a token's step as one CUDA graph; auto = once a GPU has checked it", kShapesNoAnswer);
  }
};

/// Prompts of the methods; {context} and {question} stand for the sample's. Method shine reads only the conversation.
struct PromptConfig {
  std::string multi_turn_in_context =
      "Use the text below to answer each question. Reply with a short answer taken from the text and nothing else.\n\n"
      "{context}";
  std::string multi_turn_naive =
      "Reply to each question with a short, direct answer and nothing else. If you are not sure, give your best guess.";
  std::string question_system =
      "Reply with the final answer alone: a name, a number or a few words, without explanation.";
  std::string question_system_in_context;
  std::string question_in_context = "Reference:\n{context}\n\nQuestion: {question}";
  std::string question_naive = "Question: {question}";
  bool empty_think_block = false;

  bool operator==(const PromptConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("multi_turn_in_context", multi_turn_in_context, "multi-turn QA, in_context: the system message, with {context}");
    v("multi_turn_naive", multi_turn_naive, "multi-turn QA, naive and sft: the system message; empty = none");
    v("question_system", question_system,
      "one-question QA, in_context, naive and sft: the system message; empty = none");
    v("question_system_in_context", question_system_in_context,
      "one-question QA, in_context: a system message of its own, which may have {context}; empty = question_system");
    v("question_in_context", question_in_context, "one-question QA, in_context: the user's message");
    v("question_naive", question_naive, "one-question QA, naive and sft: the user's message");
    v("empty_think_block", empty_think_block,
      "all but shine: the answer begins after an empty think block (how Qwen3 turns thinking off)");
  }
};

/// The LoRA that method sft trains for every single context (paper, appendix on test-time training).
struct SftConfig {
  int64_t rank = 8;
  double init_scale = 0.001;
  double learning_rate = 1e-4;
  double weight_decay = 0.01;
  int64_t epochs = 10;
  int64_t conversations = 10;

  bool operator==(const SftConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("rank", rank, "rank of the LoRA", at_least(1));
    v("init_scale", init_scale, "variance of its initial A (B starts at zero)", above(0));
    v("learning_rate", learning_rate, "AdamW's rate at the first step; falls linearly to zero", above(0));
    v("weight_decay", weight_decay, "AdamW's weight decay", at_least(0));
    v("epochs", epochs, "passes over the conversations, one step each", at_least(1));
    v("conversations", conversations, "sft_conversations of an item used at most; 0 = all", at_least(0));
  }
};

/// Length buckets of shine_test_pretrain: first, first + step, .., last.
struct BucketConfig {
  int64_t first = 100;
  int64_t last = 1100;
  int64_t step = 100;
  int64_t context_margin = 20;
  int64_t conversation_margin = 31;

  bool operator==(const BucketConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("first", first, "shortest length, tokens", at_least(1));
    v("last", last, "longest length, tokens", at_least(1));
    v("step", step, "distance of two lengths, tokens", at_least(1));
    v("context_margin", context_margin, "a bucket's context limit is its length plus this", at_least(0));
    v("conversation_margin", conversation_margin, "a bucket's conversation limit is its length plus this", at_least(1));
  }
};

/// The test programs.
struct EvaluationConfig {
  std::string checkpoint;
  std::string model;
  std::vector<std::string> data;
  std::string data_set;
  std::string output;
  std::vector<std::string> baselines = {"naive", "in_context", "shine"};
  int64_t limit = 0;
  int64_t seed = 42;
  int64_t batch_size = 8;
  int64_t context_max_length = 1550;
  int64_t conversation_max_length = 3000;
  int64_t group_tokens = 0;
  ScoreForm score = ScoreForm::squad;
  int64_t bootstrap = 1000;
  std::string judge;
  DecodingConfig decoding;
  PromptConfig prompts;
  SftConfig sft;
  BucketConfig buckets;

  bool operator==(const EvaluationConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("checkpoint", checkpoint, "run folder, checkpoint or published folder; empty = run.dir", file_path());
    v("model", model, "name of the model in tables; empty = the backbone's folder", kShapesNoAnswer);
    v("data", data, "files to test on", file_path());
    v("data_set", data_set,
      "name of the data in tables, -N behind it with group_tokens N; empty = the first file's name",
      matching("without /", is_plain_name));
    v("output", output, "folder for results; empty = run.dir/evaluation/TEST-DATA_SET", file_path(), kShapesNoAnswer);
    v("baselines", baselines, "methods to compare",
      matching("naive, in_context, sft, shine or shuffled", is_method_name));
    v("limit", limit,
      "contexts (multi-turn), questions (one-question) or documents per bucket (pretrain) tested at most, drawn by "
      "seed; 0 = all",
      at_least(0));
    v("seed", seed, "of what is drawn: subset, groups, shuffled contexts, sampling", at_least(0));
    v("batch_size", batch_size, "rows answered together", at_least(1));
    v("context_max_length", context_max_length, "a context is cut here before its LoRA is generated", at_least(1));
    v("conversation_max_length", conversation_max_length,
      "longest prompt besides an in-context text; the oldest turns are left out", at_least(1));
    v("group_tokens", group_tokens, "one-question QA: contexts are joined to this mean length, tokens; 0 = as they are",
      at_least(0));
    v("score", score, "one-question QA: form of F1 and exact match");
    v("bootstrap", bootstrap, "resamples for the confidence intervals", at_least(1), kShapesNoAnswer);
    v("judge", judge, "command that reads the answers (JSON lines) and writes one score a line; empty = none",
      kShapesNoAnswer);
    v("decoding", decoding, "how answers are decoded");
    // Stage backbone trains on questions in these words; a resume compares the fingerprint of its data.
    v("prompts", prompts, "what the methods are asked", ReadBy::all, kMayChange);
    v("sft", sft, "the LoRA trained per context by method sft");
    v("buckets", buckets, "length buckets of shine_test_pretrain");
  }
};

}  // namespace shine
