#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "io/files/mapped_file.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

/// Calls `take(std::span<const std::byte>)` for the bytes in order, a few MiB at a time. Where they lie in a mapped
/// file, each piece's pages are given back after its call, so that a pass over a large file keeps little in memory.
template <class Take>
void for_each_piece(std::span<const std::byte> bytes, bool mapped, Take&& take) {
  constexpr std::size_t piece_bytes = std::size_t{8} << 20;
  for (std::size_t begin = 0; begin < bytes.size(); begin += piece_bytes) {
    const auto piece = bytes.subspan(begin, std::min(piece_bytes, bytes.size() - begin));
    take(piece);
    if (mapped) release_pages(piece);
  }
}

template <class Take>
void for_each_piece(const RawTensor& tensor, Take&& take) {
  for_each_piece({tensor.data, tensor.bytes}, tensor.mapped, take);
}

}  // namespace shine
