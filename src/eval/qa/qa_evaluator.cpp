#include "eval/qa/qa_evaluator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "common/format.h"
#include "common/hash.h"
#include "common/random.h"
#include "common/timer.h"
#include "eval/generation/prepare_loras.h"
#include "eval/qa/ask_dialogues.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"
#include "shine/text/chat_template.h"
#include "tensor/peak_memory.h"

namespace shine {
namespace {

/// What random numbers are drawn for.
enum Purpose : std::uint64_t { kSftInit = 12 };

bool is_generated(Method method) {
  return method == Method::shine || method == Method::shuffled;
}

/// Cached or not, the answers are the same: the cache does not count.
std::string hash_of(const GenerationOptions& options, std::int64_t seed) {
  const DecodingConfig& decoding = options.decoding;
  Fnv1a hash;
  hash.add(decoding.max_new_tokens).add(decoding.temperature).add(decoding.repetition_penalty);
  if (decoding.temperature > 0) hash.add(decoding.top_k).add(decoding.top_p).add(seed);
  for (const std::int64_t id : options.stop_ids) hash.add(id);
  return hex_digits(hash.value());
}

/// Tokens of a context that a LoRA is generated from, at most.
std::int64_t longest_context(const EvaluationConfig& evaluation, const Hypernetwork& hypernetwork) {
  const std::int64_t positions = hypernetwork.decoder().config().max_positions;
  if (positions == 0) return evaluation.context_max_length;
  const std::int64_t memory = hypernetwork.memory_tokens();
  SHINE_CHECK(memory < positions, ConfigError, memory, " memory tokens: the backbone has ", positions,
              " positions (max_position_embeddings or sliding_window)");
  return std::min(evaluation.context_max_length, positions - memory);
}

/// The first `count` conversations; 0: all.
std::vector<RenderedConversation> render(const std::vector<std::vector<ChatMessage>>& conversations, std::int64_t count,
                                         const QaModels& models, const QaEvaluationOptions& options) {
  const std::size_t used =
      count == 0 ? conversations.size() : std::min(conversations.size(), static_cast<std::size_t>(count));
  std::vector<RenderedConversation> rendered;
  for (std::size_t i = 0; i < used; ++i) {
    rendered.push_back(tokenize_chat(models.tokenizer, conversations[i], options.chat.contents, options.chat.format));
  }
  return rendered;
}

void add(QaUnitResults& results, ContextRecord record, const LoraCost& cost, const ContextAnswers& answers) {
  record.context_tokens_cut = cost.tokens_cut;
  record.sft_conversations_cut = cost.conversations_cut;
  record.prepare_seconds = cost.seconds;
  record.sft_loss_before = cost.loss_before;
  record.sft_loss = cost.loss_after;
  record.turns_left_out = answers.turns_left_out;
  record.questions_over_long = answers.questions_over_long;
  results.records.contexts.push_back(std::move(record));
  std::ranges::copy(answers.answers, std::back_inserter(results.records.answers));
  std::ranges::copy(answers.prompts, std::back_inserter(results.prompts));
}

/// How many of the conversations were longer.
std::int64_t cut(std::vector<RenderedConversation>& conversations, std::int64_t longest) {
  const auto kept = static_cast<std::size_t>(longest);
  std::int64_t count = 0;
  for (RenderedConversation& conversation : conversations) {
    if (conversation.ids.size() <= kept) continue;
    conversation.ids.resize(kept);
    conversation.labels.resize(kept);
    ++count;
  }
  return count;
}

std::int64_t highest_id(const std::vector<RenderedConversation>& conversations) {
  std::int64_t highest = 0;
  for (const RenderedConversation& conversation : conversations) {
    for (const std::int64_t id : conversation.ids) highest = std::max(highest, id);
  }
  return highest;
}

}  // namespace

QaEvaluator::QaEvaluator(const QaModels& models, std::vector<QaContext> contexts, QaEvaluationOptions options)
    : models_(models), contexts_(std::move(contexts)), options_(std::move(options)) {
  const EvaluationConfig& evaluation = options_.evaluation;
  answer_options_ = answer_options(evaluation, options_.form, models_, options_.chat.format);
  decoding_hash_ = hash_of(answer_options_.generation, evaluation.seed);
  for (const QaContext& context : contexts_) {
    const auto ids = context_ids(context, models_.tokenizer, options_.chat.contents);
    context_tokens_.push_back(static_cast<std::int64_t>(ids.size()));
  }
  for (const Method method : options_.methods) add_method(method);
  plan();
}

void QaEvaluator::add_method(Method method) {
  prompts_.try_emplace(method, method, options_.form, options_.evaluation.prompts, models_.tokenizer, options_.chat);
  if (!is_generated(method)) return;
  SHINE_CHECK(models_.hypernetwork != nullptr, ConfigError, "methods shine and shuffled need a hypernetwork");
  longest_context(options_.evaluation, *models_.hypernetwork);
  if (method == Method::shuffled) {
    others_ = other_contexts(contexts_, static_cast<std::uint64_t>(options_.evaluation.seed));
  }
}

std::string QaEvaluator::obstacle(Method method, std::size_t context) const {
  if (method == Method::sft && contexts_[context].sft_conversations.empty()) return "no sft_conversations";
  const PromptExtent extent = prompts_.at(method).extent(contexts_[context]);
  if (answer_options_.limits.max_positions > 0 && extent.longest >= answer_options_.limits.max_positions) {
    return str("a prompt fills the model's ", answer_options_.limits.max_positions, " positions");
  }
  return token_without_row(method, context, extent.highest_id);
}

std::string QaEvaluator::token_without_row(Method method, std::size_t context, std::int64_t highest_prompt_id) const {
  if (models_.tokenizer.size() <= embedding_rows(models_.decoder)) return {};
  std::int64_t highest = highest_prompt_id;
  if (method == Method::sft) {
    const SftTask task = sft_task(context);
    highest = std::max({highest, highest_id(task.conversations), highest_id(task.questions)});
  }
  return shine::token_without_row(models_, highest);
}

void QaEvaluator::plan() {
  const std::vector<QaBatch> batches = make_batches(contexts_, options_.evaluation.batch_size);
  for (std::size_t number = 0; number < batches.size(); ++number) {
    for (const Method method : options_.methods) {
      QaUnit unit{method, number, {}, batches[number].lanes};
      for (const std::size_t index : batches[number].contexts) {
        const std::string reason = obstacle(method, index);
        if (reason.empty()) {
          unit.contexts.push_back(index);
          continue;
        }
        LeftOut& left = left_out_.try_emplace(method, LeftOut{0, contexts_[index].id, reason}).first->second;
        ++left.contexts;
      }
      if (!unit.contexts.empty()) units_.push_back(std::move(unit));
    }
  }
  if (!units_.empty()) return;
  SHINE_CHECK(!left_out_.empty(), ConfigError, "there is nothing to ask: no context, or no method");
  const LeftOut& left = left_out_.begin()->second;
  throw ConfigError("no context can be asked about, the first is " + left.first + ": " + left.reason, "evaluation.data",
                    "use other data or other evaluation.baselines");
}

std::vector<std::int64_t> QaEvaluator::generated_from(const QaUnit& unit, std::size_t context) const {
  const std::size_t source = unit.method == Method::shuffled ? others_[context] : context;
  return context_ids(contexts_[source], models_.tokenizer, options_.chat.contents);
}

SftTask QaEvaluator::sft_task(std::size_t context) const {
  const EvaluationConfig& evaluation = options_.evaluation;
  SftTask task;
  task.conversations = render(contexts_[context].sft_conversations, evaluation.sft.conversations, models_, options_);
  task.questions = prompts_.at(Method::sft).right_dialogues(contexts_[context]);
  if (answer_options_.limits.max_positions > 0) {
    task.conversations_cut = cut(task.conversations, answer_options_.limits.max_positions);
    cut(task.questions, answer_options_.limits.max_positions);
  }
  const auto seed = static_cast<std::uint64_t>(evaluation.seed);
  task.seed = Random::stream(seed, {kSftInit, static_cast<std::uint64_t>(context)}).next();
  return task;
}

std::optional<PreparedLoras> QaEvaluator::prepare(const QaUnit& unit) const {
  if (is_generated(unit.method)) {
    std::vector<std::vector<std::int64_t>> sources;
    for (const std::size_t context : unit.contexts) sources.push_back(generated_from(unit, context));
    return generate_loras(*models_.hypernetwork, std::move(sources),
                          longest_context(options_.evaluation, *models_.hypernetwork));
  }
  if (unit.method == Method::sft) {
    std::vector<SftTask> tasks;
    for (const std::size_t context : unit.contexts) tasks.push_back(sft_task(context));
    return train_loras(models_.decoder, tasks, options_.evaluation.sft, options_.stop);
  }
  return PreparedLoras{{}, std::vector<LoraCost>(unit.contexts.size())};
}

std::optional<std::vector<ContextAnswers>> QaEvaluator::ask(const QaUnit& unit, const LoraTree& loras) const {
  const EvaluationConfig& evaluation = options_.evaluation;
  GenerationOptions generation = answer_options_.generation;
  generation.seed = batch_seed(evaluation, unit.batch);
  const ScoreForm score = options_.form == QaForm::multi_turn ? ScoreForm::squad : evaluation.score;
  AskedContexts asked{{}, {}, unit.lanes};
  for (const std::size_t context : unit.contexts) {
    asked.contexts.push_back(&contexts_[context]);
    asked.tokens.push_back(context_tokens_[context]);
  }
  return ask_dialogues(models_, loras.layers.empty() ? nullptr : &loras, asked,
                       {unit.method, prompts_.at(unit.method), answer_options_.limits, generation, score,
                        decoding_hash_, options_.stop});
}

std::optional<QaUnitResults> QaEvaluator::run(const QaUnit& unit) const {
  const at::Device device = models_.decoder.device();
  std::optional<PeakMemory> memory;
  if (PeakMemory::can_measure(device)) memory.emplace(device);
  const std::optional<PreparedLoras> loras = prepare(unit);
  if (!loras) return std::nullopt;
  synchronize(device);
  const Timer timer;
  const std::optional<std::vector<ContextAnswers>> answers = ask(unit, loras->tree);
  if (!answers) return std::nullopt;
  synchronize(device);

  ContextRecord record;
  record.method = unit.method;
  record.batch_contexts = static_cast<std::int64_t>(unit.contexts.size());
  record.answer_seconds = timer.seconds() / static_cast<double>(unit.contexts.size());
  record.peak_bytes = memory ? static_cast<std::int64_t>(memory->bytes_above_start()) : 0;
  QaUnitResults results;
  for (std::size_t i = 0; i < unit.contexts.size(); ++i) {
    record.item = contexts_[unit.contexts[i]].id;
    record.context_tokens = context_tokens_[unit.contexts[i]];
    add(results, record, loras->costs[i], (*answers)[i]);
  }
  return results;
}

void QaEvaluator::warm_up() const {
  std::set<Method> done;
  for (const QaUnit& unit : units_) {
    if (!done.insert(unit.method).second) continue;
    const std::size_t context = unit.contexts.front();
    std::vector<QaContext> few{contexts_[context]};
    if (unit.method == Method::shuffled) few.push_back(contexts_[others_[context]]);
    for (QaContext& one : few) {
      one.dialogues.resize(1);
      one.dialogues.front().resize(1);
    }
    QaEvaluationOptions options = options_;
    options.methods = {unit.method};
    options.evaluation.decoding.max_new_tokens = 2;
    options.evaluation.sft.epochs = options.evaluation.sft.conversations = 1;
    options.evaluation.batch_size = 1;
    const QaEvaluator small(models_, std::move(few), std::move(options));
    small.run(small.units().front());
  }
}

std::string prompt_json(const PromptRecord& record) {
  return nlohmann::ordered_json{{"item", record.item},
                                {"conversation", record.conversation},
                                {"turn", record.turn},
                                {"method", enum_name(record.method)},
                                {"prompt_ids", record.prompt_ids},
                                {"ids", record.ids}}
      .dump();
}

}  // namespace shine
