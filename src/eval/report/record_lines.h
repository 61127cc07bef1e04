#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/enum_value.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {

/// A file of results is JSON lines, each of one `kind`; a record lists its keys once, in a function that is given one
/// of these visitors. The key `kind` comes first.
class RecordWriter {
 public:
  explicit RecordWriter(std::string_view kind) { line_["kind"] = kind; }

  template <class Value>
  void value(const char* key, const Value& value) {
    if constexpr (NamedEnum<Value>) {
      line_[key] = enum_name(value);
    } else {
      line_[key] = value;
    }
  }
  void score(const char* key, double value) { line_[key] = value; }
  /// A number that a line may lack: NaN becomes null.
  void optional_value(const char* key, double value) { line_[key] = value; }
  void optional_value(const char* key, std::int64_t value) { line_[key] = value; }

  /// Bytes that are not UTF-8 become U+FFFD.
  std::string text() const { return line_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

 private:
  nlohmann::ordered_json line_;
};

/// Throws FormatError naming place and key for a missing key, another type, or a value out of range: integers 0 to
/// 1e15 (so that sums stay in range), numbers from 0, scores from 0 to 1.
class RecordReader {
 public:
  RecordReader(const nlohmann::json& line, std::string where) : line_(line), where_(std::move(where)) {}

  void value(const char* key, std::string& value);
  void value(const char* key, bool& value);
  void value(const char* key, std::int64_t& value);
  void value(const char* key, double& value);
  void value(const char* key, std::vector<std::string>& values);
  template <NamedEnum E>
  void value(const char* key, E& value) {
    std::string name;
    this->value(key, name);
    const std::optional<E> found = enum_value<E>(name);
    require(found.has_value(), key, "one of " + join(config_names(E{}), ", "));
    value = *found;
  }
  void score(const char* key, double& value);
  void optional_value(const char* key, double& value);        ///< NaN where it is missing
  void optional_value(const char* key, std::int64_t& value);  ///< 0 where it is missing

 private:
  void require(bool holds, const char* key, const std::string& expected) const;

  const nlohmann::json& line_;
  std::string where_;
};

using TakeRecord = std::function<void(const std::string& kind, const nlohmann::json& line, const std::string& where)>;

/// Calls `take(kind, value, "WHERE:line")` for each line of a text. Throws FormatError.
void parse_record_lines(std::string_view text, const std::string& where, const TakeRecord& take);

/// The same for each line of a file, except a last one without its newline (a program that wrote it was cut off).
/// Throws IoError and FormatError.
void read_record_lines(const std::filesystem::path& file, const TakeRecord& take);

}  // namespace shine
