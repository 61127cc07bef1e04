#include "shine/data/loader.h"

#include <utility>

#include "shine/common/error.h"

namespace shine {

Loader::Loader(std::shared_ptr<const Dataset> dataset, Sampler sampler, std::size_t ahead)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), ahead_(ahead) {
  SHINE_CHECK(ahead_ > 0, ConfigError, "a loader must prepare at least one micro-batch ahead");
  const std::size_t sampled = sampler_.state().samples;
  SHINE_CHECK(dataset_->size() == sampled, ConfigError, "the sampler is for ", sampled, " samples, the dataset has ",
              dataset_->size());
  thread_ = std::thread([this] { prepare(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

MicroBatch Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  MicroBatch batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Loader::prepare() {
  try {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || ready_.size() < ahead_; });
        if (stopping_) return;
      }
      const IndexBatch indices = sampler_.next();
      MicroBatch batch{.epoch = indices.epoch, .samples = {}, .resume = sampler_.state()};
      batch.samples.reserve(indices.indices.size());
      for (const std::size_t index : indices.indices) batch.samples.push_back(dataset_->sample(indices.epoch, index));
      {
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(batch));
      }
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  changed_.notify_all();
}

}  // namespace shine
