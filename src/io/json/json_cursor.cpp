#include "io/json/json_cursor.h"

#include <cmath>

#include "shine/common/error.h"

namespace shine {

JsonCursor JsonCursor::operator[](const char* key) const& {
  if (!value_->is_object()) fail_type("an object");
  const auto found = value_->find(key);
  if (found == value_->end()) fail(str("key \"", key, "\" is missing"));
  return {*found, *this, key, 0};
}

JsonCursor JsonCursor::operator[](std::size_t index) const& {
  return {value_->get_ref<const nlohmann::json::array_t&>().at(index), *this, nullptr, index};
}

std::optional<JsonCursor> JsonCursor::find(const char* key) const& {
  if (!value_->is_object()) fail_type("an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  if (found->is_number_float() && std::isnan(found->get<double>())) return std::nullopt;
  return JsonCursor(*found, *this, key, 0);
}

std::size_t JsonCursor::size() const {
  if (!value_->is_array()) fail_type("an array");
  return value_->size();
}

const std::string& JsonCursor::text() const {
  if (!value_->is_string()) fail_type("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonCursor::boolean() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

void JsonCursor::fail_type(std::string_view expected) const {
  fail(str("expected ", expected, ", found ", value_->type_name()));
}

std::string JsonCursor::place() const {
  const std::string at = path();
  return at.empty() ? std::string(where_) : str(where_, ": ", at);
}

void JsonCursor::fail(std::string_view what, std::string_view cure) const {
  throw FormatError(what, place(), cure);
}

std::string JsonCursor::path() const {
  if (parent_ == nullptr) return {};
  const std::string before = parent_->path();
  if (key_ == nullptr) return str(before, "[", index_, "]");
  return before.empty() ? key_ : str(before, ".", key_);
}

}  // namespace shine
