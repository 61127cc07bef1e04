#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace shine {

struct GgufValue;

/// Values of one type; `type` is the index in GgufValue::value of all of them, also where there are none.
struct GgufArray {
  std::size_t type = 0;
  std::vector<GgufValue> values;

  bool operator==(const GgufArray&) const = default;
};

/// A value of a GGUF file's metadata. The index of the alternative is the number that the format gives its type.
struct GgufValue {
  std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float, bool,
               std::string, GgufArray, std::uint64_t, std::int64_t, double>
      value;

  bool operator==(const GgufValue&) const = default;
};

using GgufMetadata = std::map<std::string, GgufValue>;

inline constexpr const char* kGgufAlignmentKey = "general.alignment";
inline constexpr std::size_t kGgufAlignment = 32;  ///< of tensors, where the metadata gives none
inline constexpr std::size_t kMaxGgufDimensions = 4;
inline constexpr std::size_t kMaxGgufNameBytes = 63;  ///< of a tensor's name: what llama.cpp keeps of it

}  // namespace shine
