#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/dataset.h"
#include "data/sampling/sampler.h"

namespace shine {

/// One rank's micro-batches of one optimizer step.
struct StepBatches {
  std::int64_t epoch = 0;
  /// In the order of their positions; may be empty if the step has fewer micro-batches than ranks.
  std::vector<std::vector<Sample>> micro_batches;
  std::vector<std::size_t> positions;  ///< of each of them among the step's, ascending
  std::size_t planned = 0;             ///< micro-batches of the step, those of all ranks together
  /// The position after the step: saved when the step is done, so that a resume continues with the next step, however
  /// many were prepared ahead.
  SamplerState resume;
  double waited_seconds = 0;  ///< that next() waited for the step
};

struct LoaderOptions {
  std::size_t ahead = 2;  ///< steps prepared before they are asked for, at most
  int rank = 0;           ///< whose micro-batches are made
  int ranks = 1;
  int threads = 1;  ///< that make the samples of a step; what these are does not depend on it
};

/// Prepares steps on threads of its own, one step after the other in the sampler's order. share_batches distributes the
/// micro-batches of a step over the ranks by Dataset::tokens; every rank computes the same shares and makes only its
/// own micro-batches.
class Loader {
 public:
  /// Starts at the sampler's place. Throws ConfigError when `ahead` or `threads` is 0, the rank is not below `ranks`,
  /// or dataset and sampler differ in size.
  Loader(std::shared_ptr<const Dataset> dataset, Sampler sampler, LoaderOptions options);

  /// Stops the threads; samples in preparation are finished first.
  ~Loader();

  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next step, waiting for it if needed. What the dataset throws is thrown here, in place of the step it broke,
  /// and again by every later call.
  StepBatches next();

 private:
  void prepare();
  StepBatches make(const StepPlan& plan) const;

  std::shared_ptr<const Dataset> dataset_;
  Sampler sampler_;
  LoaderOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StepBatches> ready_;
  std::exception_ptr failure_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace shine
