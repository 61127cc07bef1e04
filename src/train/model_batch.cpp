#include "shine/train/model_batch.h"

namespace shine {

ModelBatch make_model_batch(const std::vector<Sample>& samples, at::Device device, std::int64_t softmax_size) {
  std::vector<std::vector<std::int64_t>> contexts, conversations, labels;
  for (const Sample& sample : samples) {
    contexts.push_back(sample.context_ids);
    conversations.push_back(sample.conversation_ids);
    labels.push_back(sample.labels);
  }
  return {TokenRows::pack(contexts, device), TokenRows::pack(conversations, device),
          LabelledTokens::of(labels, device, softmax_size)};
}

ModelBatch merge_batches(const std::vector<ModelBatch>& parts) {
  if (parts.size() == 1) return parts.front();
  std::vector<TokenRows> contexts, conversations;
  std::vector<LabelledTokens> labelled;
  std::vector<std::int64_t> tokens;
  for (const ModelBatch& part : parts) {
    contexts.push_back(part.contexts);
    conversations.push_back(part.conversations);
    labelled.push_back(part.labelled);
    tokens.push_back(part.conversations.layout.tokens());
  }
  return {TokenRows::concatenate(contexts), TokenRows::concatenate(conversations),
          LabelledTokens::concatenate(labelled, tokens)};
}

}  // namespace shine
