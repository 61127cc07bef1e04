#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shine/tensor/dtype.h"

namespace shine::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr std::uint32_t kVersion = 3;
inline constexpr std::size_t kMaxNameBytes = 63;  ///< llama.cpp keeps a tensor's name in 64 bytes
inline constexpr std::size_t kMaxAxes = 4;
inline constexpr std::int64_t kDefaultAlignment = 32;
inline constexpr const char* kAlignmentKey = "general.alignment";

/// Types of metadata values, by their number in a file.
enum class ValueType : std::uint32_t {
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  float32,
  boolean,
  string,
  array,
  uint64,
  int64,
  float64
};

/// Numbers of the tensor types that are read and written here.
struct TensorType {
  std::uint32_t number;
  DType dtype;
};
inline constexpr std::array<TensorType, 3> kTensorTypes{
    {{0, DType::float32}, {1, DType::float16}, {30, DType::bfloat16}}};

}  // namespace shine::gguf
