#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "common/hash.h"
#include "data/dataset.h"

namespace shine {

/// Each sample with the context of the next sample that has a different one (cyclically): the control that shows
/// whether the generated LoRA is about its context. If all samples have the same context, it stays.
class ShiftedContexts : public Dataset {
 public:
  explicit ShiftedContexts(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {}

  std::size_t size() const override { return dataset_->size(); }

  Sample sample(std::int64_t epoch, std::size_t index) const override {
    Sample own = dataset_->sample(epoch, index);
    for (std::size_t step = 1; step < size(); ++step) {
      Sample other = dataset_->sample(epoch, (index + step) % size());
      if (other.context_ids == own.context_ids) continue;
      own.context_ids = std::move(other.context_ids);
      break;
    }
    return own;
  }

  std::int64_t tokens(std::size_t index) const override { return dataset_->tokens(index); }

  std::uint64_t fingerprint() const override {
    const std::uint64_t own = dataset_->fingerprint();
    return own == 0 ? 0 : Fnv1a().add_bytes("shifted contexts").add(own).value();
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace shine
