#pragma once

#include <map>
#include <string>

#include "shine/adapter/adapter_metadata.h"

namespace shine {

/// "shine.identity", "shine.backbone", "shine.base_model", "shine.tool": what every format's metadata says of the
/// adapter; those that are empty are left out.
std::map<std::string, std::string> identity_entries(const AdapterMetadata& metadata);

/// The inverse; entries of other tools are ignored. Throws FormatError at `where` for a hash that is not 16 hex digits.
AdapterMetadata identity_of(const std::map<std::string, std::string>& entries, const std::string& where);

}  // namespace shine
