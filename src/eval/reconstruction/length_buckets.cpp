#include "eval/reconstruction/length_buckets.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/parallel.h"
#include "common/random.h"
#include "shine/common/error.h"
#include "shine/text/message.h"

namespace shine {

std::vector<std::int64_t> bucket_lengths(const BucketConfig& config) {
  SHINE_CHECK(config.first <= config.last, ConfigError, "evaluation.buckets: first ", config.first, " is above last ",
              config.last);
  std::vector<std::int64_t> lengths;
  for (std::int64_t length = config.first; length <= config.last; length += config.step) lengths.push_back(length);
  return lengths;
}

BucketTexts::BucketTexts(std::vector<std::string> texts, const Tokenizer& tokenizer, std::vector<std::int64_t> lengths,
                         SpecialTokens treatment, int threads)
    : texts_(std::move(texts)), lengths_(std::move(lengths)), ends_(texts_.size()) {
  const auto measure = [&](std::size_t i) {
    const Encoding encoding = tokenizer.encode(texts_[i], treatment);
    for (const std::int64_t length : lengths_) {
      if (length > static_cast<std::int64_t>(encoding.ids.size())) break;
      ends_[i].push_back(encoding.offsets[static_cast<std::size_t>(length) - 1].end);
    }
  };
  parallel_for(texts_.size(), threads, measure);
}

std::vector<std::size_t> BucketTexts::choose(std::size_t bucket, std::int64_t limit, std::uint64_t seed) const {
  std::vector<std::size_t> order(texts_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(seed);
  random.shuffle(order);
  std::erase_if(order, [&](std::size_t text) { return ends_[text].size() <= bucket; });
  if (limit > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(limit)));
  return order;
}

std::string BucketTexts::cut(std::size_t text, std::size_t bucket) const {
  return texts_[text].substr(0, ends_[text].at(bucket));
}

Sample bucket_sample(const std::string& text, std::size_t number, PretrainTask task,
                     const std::shared_ptr<const Tokenizer>& tokenizer, PretrainOptions options) {
  options.completion_frequency = task == PretrainTask::completion ? 1.0 : 0.0;
  options.threads = 1;
  const PretrainDataset dataset({text}, tokenizer, options);
  // A number takes the place of an epoch, so that each text has draws of its own.
  Sample sample = dataset.sample(static_cast<std::int64_t>(number), 0);
  const auto end_tokens = static_cast<std::int64_t>(tokenizer->encode(options.chat_format.assistant.after).ids.size());
  const auto labels = static_cast<std::int64_t>(sample.labels.size());
  const std::int64_t text_end = labels + sample.conversation_tokens_cut - end_tokens;
  for (std::int64_t i = text_end; i < labels; ++i) sample.labels[static_cast<std::size_t>(i)] = kIgnoredLabel;
  return sample;
}

}  // namespace shine
