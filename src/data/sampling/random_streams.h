#pragma once

#include <cstdint>

#include "common/random.h"

namespace shine {

/// The purpose of a stream of random numbers: different purposes never share numbers, whatever the seed. A resume
/// relies on the values.
enum class RandomPurpose : std::uint64_t {
  sample_order = 1,
  validation_split = 2,
  pretrain_sample = 3,
  document_order = 4,
  repeated_documents = 5,
  question_sample = 6,
  question_split = 7,
  mixed_order = 8,
};

/// The stream of `purpose`, at (epoch, index) if it has one.
inline Random stream_of(std::uint64_t seed, RandomPurpose purpose, std::int64_t epoch = 0, std::size_t index = 0) {
  return Random::stream(seed, {static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(epoch), index});
}

}  // namespace shine
