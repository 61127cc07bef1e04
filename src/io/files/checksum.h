#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;

namespace shine {

/// XXH3, 64 bits, of bytes that come in parts. Finds damage; not cryptographic.
class Checksum {
 public:
  Checksum();
  Checksum& add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

  /// Of bytes that lie together.
  static std::uint64_t of(std::span<const std::byte> bytes);

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace shine
