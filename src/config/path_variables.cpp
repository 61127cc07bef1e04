#include "config/path_variables.h"

#include <algorithm>
#include <cstdlib>

#include "config/quote.h"

namespace shine {
namespace {

constexpr std::string_view kSharedName = "SHINE_SHARED";
constexpr std::string_view kSharedDefault = "../shared";

bool is_variable_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

/// Appends the variable's value; returns the fault.
std::string append_variable(const std::string& name, std::string& path) {
  if (!is_variable_name(name)) return quote("${" + name + "}") + " does not name an environment variable";
  const char* value = std::getenv(name.c_str());
  if (value == nullptr && name == kSharedName) value = kSharedDefault.data();
  if (value == nullptr) return "environment variable " + quote(name) + " is not set";
  if (std::string_view(value).find("${") != std::string_view::npos) {
    return "environment variable " + quote(name) + " holds another variable, " + quote(value);
  }
  path += value;
  return {};
}

}  // namespace

ExpandedPath expand_path(std::string_view text) {
  const std::string_view whole = text;
  ExpandedPath result;
  const std::string bare = "$" + std::string(kSharedName);
  if (text == bare || text.starts_with(bare + "/")) {
    result.fault = append_variable(std::string(kSharedName), result.path);
    text.remove_prefix(bare.size());
  }
  while (result.fault.empty()) {
    const std::size_t start = text.find("${");
    if (start == std::string_view::npos) break;
    const std::size_t end = text.find('}', start);
    if (end == std::string_view::npos) {
      result.fault = "`${` without `}` in " + quote(whole);
      break;
    }
    result.path += text.substr(0, start);
    result.fault = append_variable(std::string(text.substr(start + 2, end - start - 2)), result.path);
    text.remove_prefix(end + 1);
  }
  result.path += text;
  return result;
}

}  // namespace shine
