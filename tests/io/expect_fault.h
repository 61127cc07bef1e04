#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "shine/tensor/raw_tensor.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {

/// The numbers as bytes in memory order.
template <class Number>
std::string as_bytes(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::string content_of(const RawTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
}

inline void expect_equal(const RawTensor& found, const RawTensor& expected, std::string_view name) {
  EXPECT_EQ(found.dtype, expected.dtype) << name;
  EXPECT_EQ(found.shape, expected.shape) << name;
  EXPECT_EQ(content_of(found), content_of(expected)) << name;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.data) % size_of(found.dtype), 0U) << name;
}

}  // namespace shine::test
