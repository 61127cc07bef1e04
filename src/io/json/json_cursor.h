#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace shine {

/// A place in a parsed JSON value that knows its path, for messages like "data.jsonl:7: questions[2].answers: expected
/// an array, found null". It points at the cursor that it came from and at `where`: both must outlive it.
class JsonCursor {
 public:
  JsonCursor(const nlohmann::json& root, std::string_view where) : value_(&root), where_(where) {}

  const nlohmann::json& value() const { return *value_; }

  /// Each throws FormatError where this is no object, the key is missing, or this is no array or string.
  JsonCursor operator[](const char* key) const&;
  JsonCursor operator[](const char* key) const&& = delete;
  std::size_t size() const;
  const std::string& text() const;
  bool boolean() const;

  /// Element of the array that size() was asked of.
  JsonCursor operator[](std::size_t index) const&;
  JsonCursor operator[](std::size_t index) const&& = delete;

  /// The member, unless it is missing, null or NaN, which pandas writes for it. Throws FormatError where this is no
  /// object.
  std::optional<JsonCursor> find(const char* key) const&;
  std::optional<JsonCursor> find(const char* key) const&& = delete;

  /// Where it stands, for messages: "data.jsonl:7: questions[2]".
  std::string place() const;

  [[noreturn]] void fail(std::string_view what, std::string_view cure = {}) const;

 private:
  JsonCursor(const nlohmann::json& value, const JsonCursor& parent, const char* key, std::size_t index)
      : value_(&value), where_(parent.where_), parent_(&parent), key_(key), index_(index) {}
  [[noreturn]] void fail_type(std::string_view expected) const;
  std::string path() const;

  const nlohmann::json* value_;
  std::string_view where_;
  const JsonCursor* parent_ = nullptr;
  const char* key_ = nullptr;  ///< null for an element of an array
  std::size_t index_ = 0;
};

}  // namespace shine
