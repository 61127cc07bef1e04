#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace shine {

/// Called with a record's number from 1, where it stands ("a.json: item 7", "a.jsonl:7"), and the record.
using TakeJsonRecord = std::function<void(std::size_t number, const std::string& where, const nlohmann::json& record)>;

/// The elements of a JSON file that is one array, or the lines of a JSON-lines file, in order; files named .gz and .zst
/// are unpacked. One record is in memory at a time, whatever the file's size. Bytes that are no UTF-8 become U+FFFD
/// (Repairs says where they are many). Throws IoError (no file), FormatError (not JSON, duplicate keys, a record over
/// 1 GiB, what is no text).
void read_json_records(const std::filesystem::path& path, const TakeJsonRecord& take);

}  // namespace shine
