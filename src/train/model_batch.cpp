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

}  // namespace shine
