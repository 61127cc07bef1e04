#include "io/json/json_file.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/files/text_input.h"
#include "io/json/json_parser.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;

[[noreturn]] void throw_type(const Json& found, const char* expected, const std::string& key,
                             const std::string& where) {
  throw FormatError(str(quote_text(key), ": expected ", expected, ", found ", found.type_name()), where);
}

void require_object(const Json& node, const std::string& where) {
  if (!node.is_object()) throw FormatError(str("expected an object, found ", node.type_name()), where);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, std::size_t max_values) {
  return parse_json_from_line(text, where, 1, max_values);
}

Json read_json_file(const std::filesystem::path& path, std::size_t max_bytes) {
  return parse_json(read_foreign_text(path, TextForm::utf8, max_bytes), path.string());
}

const Json& get_member(const Json& object, const std::string& key, const std::string& where) {
  require_object(object, where);
  const auto found = object.find(key);
  if (found == object.end()) throw FormatError(str("key ", quote_text(key), " is missing"), where);
  return *found;
}

std::int64_t get_int(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_number_integer()) throw_type(member, "an integer", key, where);
  if (member.is_number_unsigned() && member.get<std::uint64_t>() > INT64_MAX) {
    throw FormatError(str(quote_text(key), ": expected an integer below 2^63, found ", member.dump()), where);
  }
  return member.get<std::int64_t>();
}

double get_double(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_number()) throw_type(member, "a number", key, where);
  const auto number = member.get<double>();
  if (!std::isfinite(number))
    throw FormatError(str(quote_text(key), ": expected a finite number, found ", number), where);
  return number;
}

bool get_bool(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_boolean()) throw_type(member, "true or false", key, where);
  return member.get<bool>();
}

const std::string& get_string(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_string()) throw_type(member, "a string", key, where);
  return member.get_ref<const std::string&>();
}

const Json& get_object(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_object()) throw_type(member, "an object", key, where);
  return member;
}

const Json& get_array(const Json& object, const std::string& key, const std::string& where) {
  const Json& member = get_member(object, key, where);
  if (!member.is_array()) throw_type(member, "an array", key, where);
  return member;
}

bool has_value(const Json& object, const std::string& key, const std::string& where) {
  require_object(object, where);
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

std::int64_t get_int_or(const Json& object, const std::string& key, std::int64_t fallback, const std::string& where) {
  return has_value(object, key, where) ? get_int(object, key, where) : fallback;
}

double get_double_or(const Json& object, const std::string& key, double fallback, const std::string& where) {
  return has_value(object, key, where) ? get_double(object, key, where) : fallback;
}

bool get_bool_or(const Json& object, const std::string& key, bool fallback, const std::string& where) {
  return has_value(object, key, where) ? get_bool(object, key, where) : fallback;
}

std::string get_string_or(const Json& object, const std::string& key, const std::string& fallback,
                          const std::string& where) {
  return has_value(object, key, where) ? get_string(object, key, where) : fallback;
}

}  // namespace shine
