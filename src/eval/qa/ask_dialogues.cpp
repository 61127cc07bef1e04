#include "eval/qa/ask_dialogues.h"

#include "common/format.h"
#include "common/hash.h"
#include "eval/qa/qa_metrics.h"

namespace shine {
namespace {

std::string hash_of_ids(const std::vector<std::int64_t>& ids) {
  Fnv1a hash;
  for (const std::int64_t id : ids) hash.add(id);
  return hex_digits(hash.value());
}

/// A row of the batch on its way through some dialogues of a context.
struct Lane {
  std::size_t context = 0;
  std::size_t dialogue = 0, turn = 0;
  std::vector<ChatMessage> history;
};

class Asker {
 public:
  Asker(const QaModels& models, const AskedContexts& asked, const Asking& asking)
      : models_(models), asked_(asked), asking_(asking), results_(asked.contexts.size()) {
    for (std::size_t i = 0; i < asked.contexts.size(); ++i) {
      const QaContext& context = *asked.contexts[i];
      shown_.push_back({context.joined(), asked.tokens[i]});
      for (std::size_t lane = 0; lane < asked.lanes; ++lane) lanes_.push_back({i, lane, 0, {}});
      results_[i].answers.resize(context.questions());
      results_[i].prompts.resize(context.questions());
    }
  }

  std::optional<std::vector<ContextAnswers>> ask_all(const LoraTree* lora) {
    GenerationSession session(models_.decoder, lora, static_cast<std::int64_t>(lanes_.size()));
    GenerationOptions options = asking_.generation;
    for (std::uint64_t round = 0; !is_done(); ++round) {
      if (asking_.stop && asking_.stop()) return std::nullopt;
      options.seed = round_seed(asking_.generation.seed, round);
      const std::vector<std::vector<std::int64_t>> prompts = next_prompts();
      const std::vector<GeneratedText> written = session.generate(prompts, options);
      for (std::size_t row = 0; row < lanes_.size(); ++row) {
        if (is_asking(lanes_[row])) take(lanes_[row], prompts[row], written[row]);
      }
    }
    return std::move(results_);
  }

 private:
  const QaContext& context_of(const Lane& lane) const { return *asked_.contexts[lane.context]; }
  bool is_asking(const Lane& lane) const { return lane.dialogue < context_of(lane).dialogues.size(); }
  bool is_done() const {
    for (const Lane& lane : lanes_) {
      if (is_asking(lane)) return false;
    }
    return true;
  }
  const QaQuestion& question_of(const Lane& lane) const { return context_of(lane).dialogues[lane.dialogue][lane.turn]; }

  /// One prompt a row; an empty one where a row has no more questions.
  std::vector<std::vector<std::int64_t>> next_prompts() {
    std::vector<std::vector<std::int64_t>> prompts(lanes_.size());
    for (std::size_t row = 0; row < lanes_.size(); ++row) {
      const Lane& lane = lanes_[row];
      if (!is_asking(lane)) continue;
      FittedPrompt fitted =
          asking_.prompts.prompt(shown_[lane.context], lane.history, question_of(lane).question, asking_.limits);
      results_[lane.context].turns_left_out += fitted.turns_left_out;
      if (fitted.over_long) ++results_[lane.context].questions_over_long;
      prompts[row] = std::move(fitted.ids);
    }
    return prompts;
  }

  /// Number of the lane's question in its context.
  std::size_t number_of(const Lane& lane) const {
    std::size_t number = lane.turn;
    for (std::size_t i = 0; i < lane.dialogue; ++i) number += context_of(lane).dialogues[i].size();
    return number;
  }

  /// Notes the answer and goes on to the next question.
  void take(Lane& lane, const std::vector<std::int64_t>& prompt, const GeneratedText& written) {
    const QaQuestion& question = question_of(lane);
    const std::size_t number = number_of(lane);
    AnswerRecord& record = results_[lane.context].answers[number];
    record.method = asking_.method;
    record.item = context_of(lane).id;
    record.conversation = static_cast<std::int64_t>(lane.dialogue);
    record.turn = static_cast<std::int64_t>(lane.turn);
    record.source = context_of(lane).source;
    record.question = question.question;
    record.answers = question.answers;
    record.raw = models_.tokenizer.decode(written.ids, /*skip_special=*/true);
    record.answer = clean_answer(record.raw);
    const QaScore score = score_answer(record.answer, question.answers, asking_.score);
    record.f1 = score.f1;
    record.exact = score.exact;
    record.prompt_hash = hash_of_ids(prompt);
    record.decoding_hash = asking_.decoding_hash;
    record.prompt_tokens = static_cast<std::int64_t>(prompt.size());
    record.new_tokens = static_cast<std::int64_t>(written.ids.size());
    record.stopped = written.stopped;
    results_[lane.context].prompts[number] = {asking_.method, record.item, record.conversation,
                                              record.turn,    prompt,      written.ids};

    lane.history.push_back({"user", question.question});
    lane.history.push_back({"assistant", record.answer});
    if (++lane.turn < context_of(lane).dialogues[lane.dialogue].size()) return;
    lane.dialogue += asked_.lanes;
    lane.turn = 0;
    lane.history.clear();
  }

  const QaModels& models_;
  const AskedContexts& asked_;
  const Asking& asking_;
  std::vector<ShownContext> shown_;
  std::vector<Lane> lanes_;
  std::vector<ContextAnswers> results_;
};

}  // namespace

std::optional<std::vector<ContextAnswers>> ask_dialogues(const QaModels& models, const LoraTree* lora,
                                                         const AskedContexts& asked, const Asking& asking) {
  return Asker(models, asked, asking).ask_all(lora);
}

}  // namespace shine
