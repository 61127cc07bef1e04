#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/qa/qa_prompts.h"
#include "data/qa/qa_threads.h"
#include "shine/config/data_config.h"
#include "shine/config/evaluation_config.h"
#include "shine/data/sample.h"
#include "shine/text/chat_template.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// lora: the LoRA is generated from the context; prompt: the context is in the conversation, as with method in_context.
enum class ContextPlace { lora, prompt };

/// Lengths in tokens.
struct QaOptions {
  QaForm form = QaForm::multi_turn;
  ContextPlace place = ContextPlace::lora;
  std::int64_t context_max_length = 0;  ///< with place lora only
  std::int64_t conversation_max_length = 0;
  OverLong over_long = OverLong::drop;
  /// Share of samples that ask for the context itself instead of the question: user "<RECON>" (place lora) or the
  /// context (place prompt), assistant the context.
  double reconstruction_share = 0.0;
  PromptConfig prompts;  ///< with place prompt only
  SpecialTokens special_tokens = SpecialTokens::parse;
  ChatFormat chat_format = chatml_format();
  std::uint64_t seed = 0;
  int threads = 0;  ///< that tokenise at construction; 0: as many as cores
};

/// What the maximum lengths do to the samples, for the log and the metrics. A sample is dropped if it is over-long with
/// OverLong::drop, or if cutting would leave no label.
struct QaReport {
  std::size_t items = 0;
  std::size_t samples = 0;
  std::size_t contexts_over_long = 0;
  std::size_t conversations_over_long = 0;
  std::size_t dropped = 0;      ///< samples left out; with OverLong::split each turn that is too long by itself is one
  std::size_t split_off = 0;    ///< samples made by splitting
  std::int64_t tokens_cut = 0;  ///< in an epoch without reconstruction
  std::int64_t tokens = 0;      ///< of all samples if nothing were dropped or cut, each with its context
  std::int64_t tokens_dropped = 0;
};

/// How a context and turns about it become samples (see QaDataset), wherever they come from.
class QaSampleForm {
 public:
  /// Throws ConfigError if a length or share is out of range, a prompt lacks its placeholders (data/qa_prompts.h), the
  /// tokenizer lacks a token that is needed, or an empty think block is configured with place prompt, which training
  /// does not support.
  QaSampleForm(std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const QaOptions& options() const { return options_; }

  /// A context with its ids, if they are at hand.
  struct Context {
    std::string text;
    std::vector<std::int64_t> ids = {};
  };

  /// The ids that a LoRA is generated from, uncut; none with place prompt.
  std::vector<std::int64_t> context_ids(const std::string& context) const;

  /// Tokens of a thread as one sample, and what places it.
  struct Measure {
    std::int64_t tokens = 0;
    bool is_labelled = true;  ///< once it is cut
    std::uint64_t hash = 0;
    std::vector<std::int64_t> turns;  ///< tokens of each, if it is to be split
    std::int64_t opening = 0;         ///< tokens before the first turn then
  };
  Measure measure(const std::string& context, std::span<const QaTurn> thread) const;

  /// A sample: turns [first, end) of a thread, and its tokens, those of the context included.
  struct Piece {
    std::size_t first = 0, end = 0;
    std::int64_t tokens = 0;
  };

  /// The samples of a thread; counts it in `report`, all but items and contexts_over_long.
  /// @param context_tokens  context_ids().size()
  /// @param turns           of the thread
  std::vector<Piece> place(std::int64_t context_tokens, const Measure& measure, std::size_t turns,
                           QaReport& report) const;

  /// Tokens of a context above its maximum length.
  std::int64_t context_excess(std::int64_t context_tokens) const;

  /// The sample of some turns of a thread at its place. What a context's ids are is not checked.
  Sample make(std::int64_t epoch, std::size_t index, Context context, std::span<const QaTurn> turns) const;

  /// Throws ConfigError where no sample is left.
  void check_left(const QaReport& report) const;

  /// Of all options but `threads`.
  std::uint64_t fingerprint() const;

 private:
  void check_options() const;
  std::vector<Piece> split(std::int64_t context_tokens, const Measure& measure, QaReport& report) const;
  bool in_prompt() const { return options_.place == ContextPlace::prompt; }
  std::vector<ChatMessage> messages(const std::string& context, std::span<const QaTurn> turns) const;
  RenderedConversation reconstruction(std::string_view context) const;
  RenderedConversation tokenize(std::span<const ChatMessage> messages, ChatPart part = ChatPart::whole) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  QaOptions options_;
  QaPrompts prompts_;
  std::vector<std::int64_t> reconstruct_request_;
};

}  // namespace shine
