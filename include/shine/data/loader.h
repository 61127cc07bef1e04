#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "shine/data/dataset.h"
#include "shine/data/sampler.h"

namespace shine {

/// Samples of one micro-batch, and the sampler's place after it: saved when the batch has been trained on, it makes a
/// resume go on with the batch that follows, however many were prepared ahead.
struct MicroBatch {
  std::int64_t epoch = 0;
  std::vector<Sample> samples;
  SamplerState resume;
};

/// Prepares micro-batches on one other thread, at most `ahead` of them before they are asked for, in the sampler's
/// order.
class Loader {
 public:
  /// Starts at the sampler's place. Throws ConfigError when `ahead` is 0 or dataset and sampler differ in size.
  Loader(std::shared_ptr<const Dataset> dataset, Sampler sampler, std::size_t ahead);

  /// Stops the thread; a batch in preparation is finished first.
  ~Loader();

  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next micro-batch, waiting for it if needed. What the dataset throws is thrown here, in the place of the batch
  /// it broke, and again by every later call.
  MicroBatch next();

 private:
  void prepare();

  std::shared_ptr<const Dataset> dataset_;
  Sampler sampler_;
  std::size_t ahead_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<MicroBatch> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace shine
