#include "io/files/text_file.h"

#include <algorithm>

#include "io/files/posix_file.h"
#include "shine/common/error.h"

namespace shine {

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const FileDescriptor file = open_for_reading(path);
  const std::size_t chunk = read_chunk(file);
  std::string text;
  while (true) {
    const std::size_t before = text.size();
    text.resize(before + chunk);
    const std::size_t got = read_some(file, text.data() + before, chunk, path);
    text.resize(before + got);
    if (text.size() > max_bytes) throw FormatError(str("expected at most ", max_bytes, " bytes"), path.string());
    if (got < chunk) return text;
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  PendingFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace shine
