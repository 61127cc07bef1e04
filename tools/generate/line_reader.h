#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "app/generate/chat.h"
#include "common/interrupts.h"

namespace shine {

/// Bytes of standard input, in which Ctrl-C is noticed.
class InputBytes {
 public:
  explicit InputBytes(Interrupts& interrupts) : interrupts_(interrupts) {}

  static constexpr int kEnd = -1;
  static constexpr int kInterrupted = -2;

  /// The next byte, kEnd or kInterrupted, which drops what was read and not given out. Throws IoError.
  int next();

 private:
  Interrupts& interrupts_;
  char buffer_[4096];
  std::size_t begin_ = 0, end_ = 0;
};

/// Lines of standard input. On a terminal they are edited by libedit (cursor keys, Ctrl-A, Ctrl-E, .., the lines before
/// by the arrows up and down, kept until the program ends); else they are read as they are, without a prompt.
class LineReader {
 public:
  explicit LineReader(Interrupts& interrupts);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  ChatLine read(const std::string& prompt);

 private:
  class Editor;
  ChatLine read_plain();

  InputBytes bytes_;
  std::unique_ptr<Editor> editor_;  ///< null: no terminal
};

}  // namespace shine
