#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "io/json/json_cursor.h"

namespace shine {

/// A value that tables keep as a string of JSON: itself, or what the string holds.
class UnfoldedJson {
 public:
  /// `at` must outlive this. Throws FormatError where a string holds no JSON.
  explicit UnfoldedJson(const JsonCursor& at);
  UnfoldedJson(const UnfoldedJson&) = delete;
  UnfoldedJson& operator=(const UnfoldedJson&) = delete;

  const JsonCursor& cursor() const { return cursor_; }

 private:
  nlohmann::json inner_;
  std::string where_;
  JsonCursor cursor_;
};

}  // namespace shine
