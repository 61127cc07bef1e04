#pragma once

#include <cstdint>
#include <memory>

#include "shine/common/hash.h"
#include "shine/data/dataset.h"

namespace shine {

/// Each sample with the context of the next one (the last with the first's): the control that shows whether what is
/// generated from a context is about that context. Needs two samples at least.
class ShiftedContexts : public Dataset {
 public:
  explicit ShiftedContexts(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {}

  std::size_t size() const override { return dataset_->size(); }

  Sample sample(std::int64_t epoch, std::size_t index) const override {
    Sample own = dataset_->sample(epoch, index);
    own.context_ids = dataset_->sample(epoch, (index + 1) % size()).context_ids;
    return own;
  }

  std::uint64_t fingerprint() const override {
    const std::uint64_t own = dataset_->fingerprint();
    return own == 0 ? 0 : Fnv1a().add_bytes("shifted contexts").add(own).value();
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace shine
