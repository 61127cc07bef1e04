#include "adapter/identity.h"

#include <algorithm>
#include <array>
#include <utility>

#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

struct Field {
  const char* key;
  std::string AdapterMetadata::*member;
  bool is_hash;
};

constexpr std::array<Field, 4> kFields{{{"shine.identity", &AdapterMetadata::identity, true},
                                        {"shine.backbone", &AdapterMetadata::backbone, true},
                                        {"shine.base_model", &AdapterMetadata::base_model, false},
                                        {"shine.tool", &AdapterMetadata::tool, false}}};

bool is_hash(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::map<std::string, std::string> identity_entries(const AdapterMetadata& metadata) {
  std::map<std::string, std::string> entries;
  for (const Field& field : kFields) {
    if (!(metadata.*field.member).empty()) entries[field.key] = metadata.*field.member;
  }
  return entries;
}

AdapterMetadata identity_of(const std::map<std::string, std::string>& entries, const std::string& where) {
  AdapterMetadata metadata;
  for (const Field& field : kFields) {
    const auto found = entries.find(field.key);
    if (found == entries.end()) continue;
    SHINE_CHECK(!field.is_hash || is_hash(found->second), FormatError, where, ": ", field.key, " is ",
                quote_text(found->second), ", expected 16 hex digits");
    metadata.*field.member = found->second;
  }
  return metadata;
}

}  // namespace shine
