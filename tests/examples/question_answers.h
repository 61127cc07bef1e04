#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/hash.h"
#include "data/dataset.h"
#include "shine/text/chat_template.h"

namespace shine::test {

// [dataset]
struct QuestionAnswer {
  std::string context, question, answer;
};

/// One question about one context a sample. The answer is trained; the question is read.
class QuestionAnswers : public Dataset {
 public:
  QuestionAnswers(std::vector<QuestionAnswer> items, std::shared_ptr<const Tokenizer> tokenizer)
      : items_(std::move(items)), tokenizer_(std::move(tokenizer)) {}

  std::size_t size() const override { return items_.size(); }

  /// Must give the same for the same (epoch, index): draw random numbers from Random::stream(seed, {epoch, index}).
  Sample sample(std::int64_t /*epoch*/, std::size_t index) const override {
    const QuestionAnswer& item = items_.at(index);
    const std::vector<ChatMessage> turns{{"user", item.question}, {"assistant", item.answer}};
    RenderedConversation conversation = tokenize_chat(*tokenizer_, turns);
    Sample sample;
    sample.context_ids = tokenizer_->encode(item.context).ids;
    sample.conversation_ids = std::move(conversation.ids);
    sample.labels = std::move(conversation.labels);
    return sample;
  }

  /// Tells a resume that the data is another.
  std::uint64_t fingerprint() const override {
    Fnv1a hash;
    for (const QuestionAnswer& item : items_) {
      for (const std::string* text : {&item.context, &item.question, &item.answer}) {
        hash.add(std::uint64_t{text->size()}).add_bytes(*text);
      }
    }
    return hash.value();
  }

 private:
  std::vector<QuestionAnswer> items_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};
// [/dataset]

}  // namespace shine::test
