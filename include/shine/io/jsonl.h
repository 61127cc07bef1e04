#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace shine {

inline constexpr std::size_t max_jsonl_line_bytes = std::size_t{64} << 20;

/// Calls `take(line number from 1, value)` for each line of a JSON-lines file, in order; lines of white space only are
/// passed over. The file is read as it goes, one line in memory. Throws IoError (no file) and FormatError
/// "data.jsonl:7: .." (not JSON, duplicate keys, a line over `max_line_bytes`). What `take` throws goes through.
void read_jsonl(const std::filesystem::path& path, const std::function<void(std::size_t, nlohmann::json&&)>& take,
                std::size_t max_line_bytes = max_jsonl_line_bytes);

}  // namespace shine
