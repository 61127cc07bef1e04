#include "data/sampling/loader.h"

#include <utility>

#include "common/parallel.h"
#include "common/timer.h"
#include "data/sampling/rank_share.h"
#include "shine/common/error.h"

namespace shine {

Loader::Loader(std::shared_ptr<const Dataset> dataset, Sampler sampler, LoaderOptions options)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), options_(options) {
  SHINE_CHECK(options_.ahead > 0, ConfigError, "a loader must prepare at least one step ahead");
  SHINE_CHECK(options_.threads > 0, ConfigError, "a loader must have at least one thread");
  SHINE_CHECK(0 <= options_.rank && options_.rank < options_.ranks, ConfigError, "there is no rank ", options_.rank,
              " of ", options_.ranks);
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

StepBatches Loader::next() {
  const Timer timer;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  StepBatches step = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  step.waited_seconds = timer.seconds();
  changed_.notify_all();
  return step;
}

StepBatches Loader::make(const StepPlan& plan) const {
  std::vector<std::int64_t> tokens;
  for (const auto& batch : plan.batches) {
    std::int64_t& sum = tokens.emplace_back(0);
    for (const std::size_t index : batch) sum += dataset_->tokens(index);
  }
  auto shares = share_batches(tokens, options_.ranks);
  StepBatches step{.epoch = plan.epoch,
                   .micro_batches = {},
                   .positions = std::move(shares[static_cast<std::size_t>(options_.rank)]),
                   .planned = plan.batches.size(),
                   .resume = plan.after};
  std::vector<std::pair<Sample*, std::size_t>> wanted;
  for (const std::size_t position : step.positions) {
    const std::vector<std::size_t>& batch = plan.batches[position];
    std::vector<Sample>& samples = step.micro_batches.emplace_back(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) wanted.emplace_back(&samples[i], batch[i]);
  }
  parallel_for(wanted.size(), options_.threads, [&](std::size_t i) {
    if (stopping_) return;  // nobody will use the step
    *wanted[i].first = dataset_->sample(plan.epoch, wanted[i].second);
  });
  return step;
}

void Loader::prepare() {
  try {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || ready_.size() < options_.ahead; });
        if (stopping_) return;
      }
      StepBatches step = make(sampler_.next_step());
      {
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(step));
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
