#include "config/path_variables.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

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

/// The folder of a user, this process's where the name is empty; empty where there is none.
std::string home_of(const std::string& user) {
  if (const char* home = std::getenv("HOME"); user.empty() && home != nullptr && *home != 0) return home;
  const passwd* entry = user.empty() ? ::getpwuid(::getuid()) : ::getpwnam(user.c_str());
  return entry == nullptr || entry->pw_dir == nullptr ? "" : entry->pw_dir;
}

bool is_default_of_shared(std::string_view text) {
  const std::string name(kSharedName);
  return (text.starts_with("$" + name) || text.starts_with("${" + name)) && std::getenv(name.c_str()) == nullptr;
}

ExpandedPath expand_variables(std::string_view text) {
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

}  // namespace

ExpandedPath expand_home(std::string_view text) {
  if (!text.starts_with('~')) return {std::string(text), {}};
  const std::size_t end = std::min(text.find('/'), text.size());
  const std::string user(text.substr(1, end - 1)), home = home_of(user);
  if (!home.empty()) return {home + std::string(text.substr(end)), {}};
  if (!user.empty()) return {std::string(text), {}};
  return {{}, "no home folder for `~`: HOME is not set (write the folder out)"};
}

ExpandedPath expand_path(std::string_view text, PathOrigin origin) {
  ExpandedPath result = expand_variables(text);
  if (!result.fault.empty()) return result;
  result = expand_home(result.path);
  const char* const start = std::getenv("SHINE_PATHS_FROM");
  const bool elsewhere = origin == PathOrigin::override_text && start != nullptr && *start != 0;
  const bool relative = !result.path.empty() && result.path.front() != '/' && !is_default_of_shared(text);
  if (elsewhere && relative && result.fault.empty()) {
    result.path = (std::filesystem::path(start) / result.path).string();
  }
  return result;
}

}  // namespace shine
