#pragma once

#include <string>
#include <string_view>

namespace shine::test {

/// A torch.save file's bytes with its serialization id (40 digits, their checksum twice), which PyTorch computes in a
/// way of its own, replaced by question marks.
inline std::string without_serialization_id(std::string bytes) {
  constexpr std::string_view name = ".data/serialization_id";
  const std::size_t local = bytes.find(name), central = bytes.rfind(name);
  const std::size_t folder = bytes.find("data.pkl") - 30;  // the folder's name with its slash
  const std::size_t digits = (local + name.size() + 4 + 63) / 64 * 64;
  bytes.replace(digits, 40, 40, '?');
  bytes.replace(digits + 40 + 4, 4, 4, '?');
  bytes.replace(central - folder - 46 + 16, 4, 4, '?');
  return bytes;
}

}  // namespace shine::test
