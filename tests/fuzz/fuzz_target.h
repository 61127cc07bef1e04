#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/error.h"

namespace shine::fuzz {

/// Ends the process, which libFuzzer reports with the input, unless the condition holds.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "the property does not hold: %s\n", what);
  std::abort();
}

/// Runs a parser. The only exceptions it may let out are shine::Error with a short message of one line; any other one
/// ends the process. Returns whether the input was accepted.
template <class Parse>
bool accepts(Parse&& parse) {
  constexpr std::size_t max_message_bytes = 4096;
  try {
    parse();
    return true;
  } catch (const Error& fault) {
    const std::string_view message = fault.what();
    require(message.size() <= max_message_bytes, "a message is short");
    for (const char c : message) require(static_cast<unsigned char>(c) >= ' ', "a message is one line");
    return false;
  }
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A copy on the heap with nothing behind its end, so that reading beyond it is noticed.
inline std::vector<std::byte> as_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// The input's parts between zero bytes: `count` of them, the last one with the rest.
inline std::vector<std::string_view> split_input(std::string_view input, std::size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = std::min(input.find('\0'), input.size());
    parts.push_back(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  parts.push_back(input);
  return parts;
}

/// A file without a disk, for parsers that take a path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// Replaces the content.
  void write(std::string_view content);
  const std::filesystem::path& path() const { return path_; }

 private:
  int number_;
  std::filesystem::path path_;
};

/// Reads all bytes, so that the sanitizer sees every one.
std::size_t sum_of(std::span<const std::byte> bytes);

}  // namespace shine::fuzz
