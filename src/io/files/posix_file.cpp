#include "io/files/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

std::filesystem::path partial_name(const std::filesystem::path& final_path) {
  std::filesystem::path partial = final_path;
  partial += str(".partial-", ::getpid());
  return partial;
}

FileDescriptor create_anew(const std::filesystem::path& path, const std::filesystem::path& final_path) {
  ::unlink(path.c_str());
  const int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (number < 0) throw_errno("create", final_path);
  return FileDescriptor(number);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::string_view cure_of(int fault) {
  switch (fault) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return "make room and run again; what was saved before is unharmed";
    case EROFS:
    case EACCES:
    case EPERM: return "make it accessible, or choose another place";
    default: return "";
  }
}

}  // namespace

void throw_errno(std::string_view action, const std::filesystem::path& path) {
  const int fault = errno;
  throw IoError(str("cannot ", action, ": ", std::generic_category().message(fault)), path.string(), cure_of(fault));
}

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

void FileDescriptor::close(const std::filesystem::path& path) {
  if (::close(std::exchange(number_, -1)) != 0) throw_errno("close", path);
}

FileDescriptor open_for_reading(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) throw_errno("open", path);
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throw_errno("inspect", path);
  if (!S_ISREG(status.st_mode)) throw IoError("expected a regular file", path.string());
  return file;
}

std::size_t read_chunk(const FileDescriptor& file) {
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) status.st_size = 0;
  return std::clamp(static_cast<std::size_t>(status.st_size) + 1, std::size_t{1} << 12, std::size_t{1} << 20);
}

std::size_t read_some(const FileDescriptor& file, char* into, std::size_t bytes, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::read(file.number(), into + done, std::min(bytes - done, kLargestTransfer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read", path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void sync_path(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) throw_errno("open", path);
  if (::fsync(file.number()) != 0) throw_errno("sync", path);
}

PendingFile::PendingFile(const std::filesystem::path& final_path)
    : final_path_(final_path), partial_path_(partial_name(final_path)), file_(create_anew(partial_path_, final_path)) {}

PendingFile::~PendingFile() {
  if (!committed_) ::unlink(partial_path_.c_str());
}

void PendingFile::write(const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file_.number(), from, std::min(bytes, kLargestTransfer));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("write", final_path_);
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void PendingFile::commit() {
  if (::fsync(file_.number()) != 0) throw_errno("sync", final_path_);
  file_.close(final_path_);
  if (std::rename(partial_path_.c_str(), final_path_.c_str()) != 0) throw_errno("rename to", final_path_);
  committed_ = true;
  sync_path(folder_of(final_path_));
}

}  // namespace shine
