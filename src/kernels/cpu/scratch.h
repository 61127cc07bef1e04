#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace shine::cpu {

/// A thread's working memory: a stack of buffers that one task takes and the next takes again, without allocating. A
/// buffer is valid until the Scratch that gave it is destroyed; its values are arbitrary. The thread holds the memory
/// until it ends.
class Scratch {
 public:
  Scratch() : memory_(of_thread()), begin_(memory_.used) {}
  ~Scratch() { memory_.used = begin_; }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// `count` values, aligned to 64 bytes.
  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<std::size_t>(count) * sizeof(T)));
  }

 private:
  struct Freed {
    void operator()(void* bytes) const { std::free(bytes); }
  };
  struct Buffer {
    std::unique_ptr<void, Freed> bytes;
    std::size_t size = 0;
  };
  struct Memory {
    std::vector<Buffer> buffers;
    std::size_t used = 0;
  };

  static Memory& of_thread();
  void* take_bytes(std::size_t bytes);

  Memory& memory_;
  std::size_t begin_;
};

}  // namespace shine::cpu
