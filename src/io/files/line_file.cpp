#include "io/files/line_file.h"

#include "io/files/text_file.h"
#include "shine/common/error.h"

namespace shine {

LineFile::LineFile(const std::filesystem::path& path, const std::string& so_far) : path_(path) {
  write_file_atomically(path, so_far);
  out_.open(path, std::ios::app | std::ios::binary);
  SHINE_CHECK(out_.good(), IoError, path.string(), ": cannot be opened for writing");
}

void LineFile::append(const std::string& lines) {
  out_ << lines << std::flush;
  SHINE_CHECK(out_.good(), IoError, path_.string(), ": cannot be written (is the disk full?)");
}

}  // namespace shine
