#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "shine/common/api.h"
#include "shine/common/str.h"

namespace shine {

/// Base of every fault this project reports. The message is one line: "where: what (cure)".
/// Library code throws; only a program's main catches (see common/main_guard.h).
class SHINE_API Error : public std::runtime_error {
 public:
  /// @param what   the fault, with expected and found values
  /// @param where  file, line, key or tensor name; may be empty
  /// @param cure   what the user can do; may be empty
  explicit Error(std::string_view what, std::string_view where = {}, std::string_view cure = {});
};

/// A configuration, an option or their combination is wrong.
class SHINE_API ConfigError : public Error {
  using Error::Error;
};

/// A file's content breaks its format (safetensors, pickle, tokenizer.json, JSON lines, ..).
class SHINE_API FormatError : public Error {
  using Error::Error;
};

/// The operating system refused: missing file, no permission, full disk.
class SHINE_API IoError : public Error {
  using Error::Error;
};

/// Tensors whose shapes, dtypes or devices do not fit together.
class SHINE_API ShapeError : public Error {
  using Error::Error;
};

/// A valid request that this program cannot serve (an unknown model family, a missing device).
class SHINE_API UnsupportedError : public Error {
  using Error::Error;
};

/// Ranks of one job differ in numbers that must be equal.
class SHINE_API DivergenceError : public Error {
  using Error::Error;
};

}  // namespace shine

/// Throws `Kind(shine::str(...))` unless the condition holds.
#define SHINE_CHECK(condition, Kind, ...)                    \
  do {                                                       \
    if (!(condition)) throw Kind(::shine::str(__VA_ARGS__)); \
  } while (false)
