#include "kernels/cpu/scratch.h"

#include <new>

namespace shine::cpu {

Scratch::Memory& Scratch::of_thread() {
  thread_local Memory memory;
  return memory;
}

void* Scratch::take_bytes(std::size_t bytes) {
  constexpr std::size_t alignment = 64;
  if (memory_.used == memory_.buffers.size()) memory_.buffers.emplace_back();
  Buffer& buffer = memory_.buffers[memory_.used++];
  if (buffer.size < bytes) {
    const std::size_t size = (bytes + alignment - 1) / alignment * alignment;
    buffer.bytes.reset(std::aligned_alloc(alignment, size));
    if (!buffer.bytes) throw std::bad_alloc();
    buffer.size = size;
  }
  return buffer.bytes.get();
}

}  // namespace shine::cpu
