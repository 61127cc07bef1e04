#include "io/files/checksum.h"

#include <xxhash.h>

#include <new>

namespace shine {

void Checksum::Free::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

Checksum::Checksum() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_64bits_reset(state_.get());
}

Checksum& Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
  return *this;
}

std::uint64_t Checksum::value() const {
  return XXH3_64bits_digest(state_.get());
}

std::uint64_t Checksum::of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace shine
