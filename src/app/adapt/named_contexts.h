#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// A context that has a name of its own, which files are called by.
struct IdentifiedContext {
  std::string id, text;
  std::string where;  ///< "contexts.jsonl:7", for messages
};

/// Reads JSON lines {"id": .., "context": ..}; other members are left alone, so that files of questions will do.
/// Throws IoError, FormatError (no JSON, a member missing or of another type), ConfigError (no line; an id that stands
/// twice or is no plain file name: 1 to 200 letters, digits, '.', '_' and '-', the first none of '.' and '-').
SHINE_API std::vector<IdentifiedContext> read_identified_contexts(const std::filesystem::path& file);

}  // namespace shine
