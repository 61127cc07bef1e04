#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "shine/tensor/raw_tensor.h"

namespace shine::test {

/// Runs `action` and expects a fault of one kind whose message holds `part`.
template <class Kind, class Action>
void expect_fault(std::string_view part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no fault; expected one with \"" << part << "\"";
  } catch (const Kind& fault) {
    EXPECT_NE(std::string_view(fault.what()).find(part), std::string_view::npos)
        << "expected \"" << part << "\" in: " << fault.what();
  }
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

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
