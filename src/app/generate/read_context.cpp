#include "app/generate/read_context.h"

#include <cstdio>

#include "config/path_variables.h"
#include "io/files/text_input.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr const char* kStandardInput = "standard input";

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, stdin)) {
    text.append(buffer, count);
    SHINE_CHECK(text.size() <= kMaxTextBytes, FormatError, kStandardInput, ": more than ", kMaxTextBytes, " bytes");
  }
  if (std::ferror(stdin) != 0) throw IoError("cannot be read", kStandardInput);
  SHINE_CHECK(text.find('\0') == std::string::npos, FormatError, kStandardInput, ": zero bytes: expected UTF-8 text");
  return text;
}

std::string read_file(const std::string& file) {
  const ExpandedPath path = expand_home(file);
  if (!path.fault.empty()) throw ConfigError(path.fault, file);
  return read_foreign_text(path.path, TextForm::any);
}

}  // namespace

std::string read_context(const std::string& file) {
  std::string text = file == "-" ? read_standard_input() : read_file(file);
  text.erase(text.find_last_not_of("\r\n") + 1);
  return text;
}

}  // namespace shine
