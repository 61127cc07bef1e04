#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/parallel.h"
#include "data/dataset.h"
#include "data/qa/qa_items.h"
#include "data/qa/qa_prompts.h"
#include "shine/config/data_config.h"
#include "shine/config/evaluation_config.h"
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

/// Instruction fine-tuning, stages ift_mqa and ift_1qa (paper section 4), and question answering in stage backbone.
/// Labels: every assistant turn. multi_turn: each conversation of an item is a sample, or all its questions, in turn,
/// with their first answers. one_question: each question of questions_of(item) with its first answer is a sample.
///
/// Whether a sample is a reconstruction is drawn for each (seed, epoch, index): the answer is then the context, as cut
/// by its maximum length, cut at conversation_max_length.
class QaDataset : public Dataset {
 public:
  /// Tokenises all items for their lengths; the ids are made again for each sample. Throws ConfigError if no sample is
  /// left, a length or share is out of range, a prompt lacks its placeholders (data/qa_prompts.h), or an empty think
  /// block is configured with place prompt, which training does not support.
  QaDataset(std::vector<QaItem> items, std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options,
            const Progress& progress = {});

  std::size_t size() const override { return places_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// Of the sample when it is not a reconstruction.
  std::int64_t tokens(std::size_t index) const override { return places_.at(index).tokens; }

  /// Of the items, their ids and all options but `threads`.
  std::uint64_t fingerprint() const override { return fingerprint_; }

  const QaReport& report() const { return report_; }

 private:
  struct Turn {
    std::string question;
    std::string answer;
  };
  /// Turns that belong together: a conversation, or one question.
  struct Thread {
    std::size_t context = 0;
    std::vector<Turn> turns;
  };
  /// A sample: turns [first, end) of a thread, and its tokens, those of the context included.
  struct Place {
    std::size_t thread = 0, first = 0, end = 0;
    std::int64_t tokens = 0;
  };
  /// Tokens of a thread as one sample, and what places it.
  struct Measure {
    std::int64_t tokens = 0;
    bool is_labelled = true;  ///< once it is cut
    std::uint64_t hash = 0;
    std::vector<std::int64_t> turns;  ///< tokens of each, if it is to be split
    std::int64_t opening = 0;         ///< tokens before the first turn then
  };

  void check_options() const;
  void take(std::vector<QaItem>&& items);
  Measure measure(std::size_t thread) const;
  void place(const std::vector<std::int64_t>& contexts, const std::vector<Measure>& threads);
  void split(std::size_t thread, const Measure& measure, std::int64_t context_tokens);
  std::uint64_t hash_options() const;

  bool in_prompt() const { return options_.place == ContextPlace::prompt; }
  std::vector<ChatMessage> messages(const Place& place) const;
  RenderedConversation reconstruction(std::string_view context) const;
  RenderedConversation tokenize(std::span<const ChatMessage> messages, ChatPart part = ChatPart::whole) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  QaOptions options_;
  QaPrompts prompts_;
  std::vector<std::int64_t> reconstruct_request_;
  std::vector<std::string> contexts_;
  std::vector<Thread> threads_;
  std::vector<Place> places_;
  QaReport report_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shine
