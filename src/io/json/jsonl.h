#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "io/files/text_input.h"

namespace shine {

inline constexpr std::size_t kMaxJsonlLineBytes = std::size_t{1} << 30;

/// Calls `take(line number from 1, line without its newline)` for each line of a file, in order, until it returns
/// false; blank lines are skipped. The file is read as it goes; the view is valid during the call.
/// Throws IoError (no file) and FormatError: "data.jsonl:7: .." (a line over `max_line_bytes`), and as TextInput of
/// `form`.
void read_lines(const std::filesystem::path& path, const std::function<bool(std::size_t, std::string_view)>& take,
                TextForm form = TextForm::bytes, std::size_t max_line_bytes = kMaxJsonlLineBytes);

/// Calls `take(line number from 1, value)` for each line of a JSON-lines file, in order; blank lines are
/// skipped. The file is read as it goes, one line in memory. Throws as read_lines, and FormatError "data.jsonl:7: .."
/// (not JSON, duplicate keys). What `take` throws goes through.
void read_jsonl(const std::filesystem::path& path, const std::function<void(std::size_t, nlohmann::json&&)>& take,
                TextForm form = TextForm::bytes, std::size_t max_line_bytes = kMaxJsonlLineBytes);

}  // namespace shine
