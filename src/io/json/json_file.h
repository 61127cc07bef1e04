#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

inline constexpr std::size_t kMaxJsonBytes = std::size_t{256} << 20;
inline constexpr std::size_t kMaxJsonValues = 20'000'000;  ///< three bytes of text can take 60 bytes of memory

/// Parses a JSON text strictly: no duplicate keys, at most 128 nested arrays and objects, at most
/// `max_values` values, nothing after the value. NaN, Infinity and -Infinity, as Python writes them, are numbers.
/// @param where  start of error messages: "where:line:column: .."
SHINE_API nlohmann::json parse_json(std::string_view text, const std::string& where,
                                    std::size_t max_values = kMaxJsonValues);

/// Reads a JSON file. Throws IoError (no file), FormatError "file:line:column: .." (not JSON, duplicate keys, too deep)
/// and "file: .." (over `max_bytes`, what is no text in UTF-8 by its first bytes).
nlohmann::json read_json_file(const std::filesystem::path& path, std::size_t max_bytes = kMaxJsonBytes);

/// Members of a JSON object. `where` is the file and, for an inner object, the keys that lead to it
/// ("config.json: rope_parameters"). Throws FormatError naming where, key, expected and found type when the node is no
/// object, the key is missing or the type is another, or a number is not finite. Nothing is converted, except an
/// integer to a double.
const nlohmann::json& get_member(const nlohmann::json& object, const std::string& key, const std::string& where);
std::int64_t get_int(const nlohmann::json& object, const std::string& key, const std::string& where);
double get_double(const nlohmann::json& object, const std::string& key, const std::string& where);
bool get_bool(const nlohmann::json& object, const std::string& key, const std::string& where);
const std::string& get_string(const nlohmann::json& object, const std::string& key, const std::string& where);
const nlohmann::json& get_object(const nlohmann::json& object, const std::string& key, const std::string& where);
const nlohmann::json& get_array(const nlohmann::json& object, const std::string& key, const std::string& where);

/// True if the object has the key with a value other than null.
bool has_value(const nlohmann::json& object, const std::string& key, const std::string& where);

/// As get_*, but the fallback where the key is missing or null.
std::int64_t get_int_or(const nlohmann::json& object, const std::string& key, std::int64_t fallback,
                        const std::string& where);
double get_double_or(const nlohmann::json& object, const std::string& key, double fallback, const std::string& where);
bool get_bool_or(const nlohmann::json& object, const std::string& key, bool fallback, const std::string& where);
std::string get_string_or(const nlohmann::json& object, const std::string& key, const std::string& fallback,
                          const std::string& where);

}  // namespace shine
