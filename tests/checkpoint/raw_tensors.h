#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "shine/tensor/raw_tensor.h"

namespace shine::test {

/// A float32 tensor of one dimension that owns its numbers.
inline RawTensor raw_tensor(const std::vector<float>& values) {
  const auto held = std::make_shared<std::vector<float>>(values);
  return {DType::float32,
          {static_cast<std::int64_t>(values.size())},
          reinterpret_cast<const std::byte*>(held->data()),
          values.size() * sizeof(float),
          held};
}

inline std::string bytes_of_tensor(const RawTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
}

}  // namespace shine::test
