#include "app/generate/answer_session.h"

#include <ATen/ATen.h>

#include "app/build/special_token_use.h"
#include "app/generate/answer_lines.h"
#include "common/format.h"
#include "common/timer.h"
#include "config/enum_value.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

bool has_c(const LoraTree& tree) {
  LoraTree copy = tree;
  bool found = false;
  for_each_tensor(copy, [&](const std::string& name, at::Tensor& tensor) {
    if (name.ends_with(".C")) found = found || tensor.any().item<bool>();
  });
  return found;
}

}  // namespace

AnswerSession::AnswerSession(const Experiment& experiment, const std::optional<WeightsSource>& weights,
                             SessionOptions options)
    : experiment_(experiment), options_(options), methods_{Method::shine} {
  if (weights) generator_.emplace(experiment, *weights);
}

AnswerSession::Source AnswerSession::generated(const NamedText& context) const {
  const ContextIds ids = encode_context(experiment_, context, options_.over_long);
  const Timer timer;
  Adapter adapter = std::move(generator_->generate({ids}).front());
  if (ids.cut > 0) log_warning(str(context.name, ": the last ", ids.cut, " tokens are cut (--over-long cut)"));
  const std::string note = format("made in %.3f s", timer.seconds());
  return {std::move(adapter), note, ids.cut};
}

void AnswerSession::set_context(const NamedText& context) {
  const auto ids = experiment_.tokenizer->encode(context.text, special_tokens(experiment_.config.text)).ids;
  SHINE_CHECK(!ids.empty(), ConfigError, context.name, ": the context is empty (give a text)");
  if (generator_) shine_ = generated(context);
  context_name_ = context.name;
  context_ = {context.text, static_cast<std::int64_t>(ids.size())};
  reset();
}

void AnswerSession::set_other_context(const NamedText& context) {
  SHINE_CHECK(generator_, ConfigError, context.name, ": a LoRA is made by trained weights (name them by --checkpoint)");
  other_ = generated(context);
  reset();
}

void AnswerSession::set_adapters(const std::vector<AdapterChoice>& choices) {
  Adapter adapter = load_adapters(choices, experiment_.config.model.path, options_.any_backbone);
  std::vector<std::string> names;
  for (const AdapterChoice& choice : choices) {
    names.push_back(choice.path.string() + (choice.weight == 1.0 ? "" : str(" times ", choice.weight)));
  }
  shine_ = {std::move(adapter), "read from " + join(names, " and "), 0};
  reset();
}

void AnswerSession::set_methods(std::vector<Method> methods) {
  methods_ = std::move(methods);
  reset();
}

void AnswerSession::reset() {
  conversations_.clear();
  last_.clear();
}

QaModels AnswerSession::models() const {
  return {*experiment_.decoder, experiment_.hypernetwork.get(), *experiment_.tokenizer, experiment_.end_tokens};
}

ConversationContext AnswerSession::knowledge(Method method) const {
  const auto lora_of = [&](const std::optional<Source>& source, const char* cure) -> ConversationContext {
    SHINE_CHECK(source, ConfigError, "method ", enum_name(method), " has no adapter (", cure, ")");
    return {{}, &source->adapter.tree};
  };
  if (method == Method::shine) {
    return lora_of(shine_,
                   generator_ ? "give a context, or an adapter" : "give an adapter, or start with --checkpoint");
  }
  if (method == Method::shuffled) return lora_of(other_, "start with --other-context FILE");
  if (method != Method::in_context) return {};
  SHINE_CHECK(context_, ConfigError, "method in_context has no context (give one)");
  return {*context_, nullptr};
}

Answer AnswerSession::ask(Method method, std::string_view question, const Conversation::TextObserver& observer) {
  auto found = conversations_.find(method);
  if (found == conversations_.end()) {
    const ExperimentConfig& config = experiment_.config;
    const ConversationOptions options{
        options_.form, config.evaluation, {special_tokens(config.text), experiment_.chat_format}};
    found = conversations_.try_emplace(method, models(), method, options, knowledge(method)).first;
  }
  Answer answer = found->second.ask(question, observer);
  last_[method] = answer;
  return answer;
}

std::string AnswerSession::save(const std::filesystem::path& folder) const {
  SHINE_CHECK(shine_, ConfigError, "there is no adapter to save (give a context, or an adapter)");
  if (std::filesystem::exists(folder)) throw IoError("exists already", folder.string(), "name a new folder");
  const bool own = has_c(shine_->adapter.tree);
  const AdapterOutput output{own ? AdapterFormat::shine : AdapterFormat::peft};
  write_adapter(folder, shine_->adapter, experiment_.decoder->config(), output);
  return str(folder.string(), ": the adapter in ", own ? "this project's own form (it has biases)" : "PEFT's form");
}

std::string AnswerSession::describe() const {
  std::string text;
  if (context_) text += str("context ", context_name_, ": ", context_->tokens, " tokens\n");
  const auto add = [&](Method method, const std::optional<Source>& source) {
    if (!source) return;
    const std::string& identity = source->adapter.metadata.identity;
    text += str("adapter of ", enum_name(method), identity.empty() ? "" : " " + identity, ": ", source->note);
    if (source->cut > 0) text += str(", the last ", source->cut, " tokens of its context cut (--over-long cut)");
    text += "\n";
  };
  add(Method::shine, shine_);
  add(Method::shuffled, other_);
  return text;
}

std::string AnswerSession::statistics() const {
  std::string text = describe();
  for (const Method method : methods_) {
    const auto last = last_.find(method);
    if (last != last_.end()) text += str(enum_name(method), ": ", answer_speed(last->second), "\n");
  }
  return text;
}

}  // namespace shine
