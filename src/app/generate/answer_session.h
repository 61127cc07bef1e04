#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/adapt/generate_adapter.h"
#include "app/adapt/load_adapters.h"
#include "eval/conversation/conversation.h"
#include "shine/adapter/adapter.h"
#include "shine/common/api.h"

namespace shine {

/// How a session answers.
struct SessionOptions {
  QaForm form = QaForm::multi_turn;
  LongContext over_long = LongContext::error;
  bool any_backbone = false;  ///< take adapters of other backbones too
};

/// Several methods side by side, asked about one context. What changes context, adapter or methods begins the
/// conversation anew; a call that throws leaves all as it was.
class SHINE_API AnswerSession {
 public:
  /// @param experiment  must outlive this object
  /// @param weights     of its hypernetwork; without, LoRAs come from adapters alone
  AnswerSession(const Experiment& experiment, const std::optional<WeightsSource>& weights, SessionOptions options);

  /// The context of method in_context, and of shine where there are weights. Throws what encode_context throws.
  void set_context(const NamedText& context);

  /// The context whose LoRA answers as method shuffled. Needs weights. Throws as set_context.
  void set_other_context(const NamedText& context);

  /// The adapter of method shine, until the next context. Throws what load_adapters throws.
  void set_adapters(const std::vector<AdapterChoice>& choices);

  void set_methods(std::vector<Method> methods);
  const std::vector<Method>& methods() const { return methods_; }

  /// Throws ConfigError where the method lacks its context or adapter, and what Conversation throws.
  Answer ask(Method method, std::string_view question, const Conversation::TextObserver& observer = {});

  /// Forgets the conversation.
  void reset();

  /// Writes the adapter of method shine in PEFT's form, or in this project's own where it has a term C, which PEFT's
  /// cannot hold. Returns a line that says so. Throws ConfigError (there is none), IoError (it exists).
  std::string save(const std::filesystem::path& folder) const;

  /// A line each on the context and on the adapters.
  std::string describe() const;

  /// describe() and a line on every method's last answer.
  std::string statistics() const;

 private:
  /// An adapter as a method uses it, and how it came about.
  struct Source {
    Adapter adapter;
    std::string note;  ///< "made in 0.005 s", "read from DIR"
    std::int64_t cut = 0;
  };
  Source generated(const NamedText& context) const;
  ConversationContext knowledge(Method method) const;
  QaModels models() const;

  const Experiment& experiment_;
  SessionOptions options_;
  std::optional<AdapterGenerator> generator_;
  std::vector<Method> methods_;
  std::string context_name_;
  std::optional<ShownContext> context_;
  std::optional<Source> shine_, other_;
  std::map<Method, Conversation> conversations_;
  std::map<Method, Answer> last_;
};

}  // namespace shine
