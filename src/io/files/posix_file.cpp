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
  const std::string reason = fault == ENOMEM ? "out of memory" : std::generic_category().message(fault);
  throw IoError(str("cannot ", action, ": ", reason), path.string(), cure_of(fault));
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

std::filesystem::path file_to_write(const std::filesystem::path& path) {
  constexpr std::string_view cure = "give the name of a file";
  std::filesystem::path target = path;
  std::error_code ignored;  // stat, below, meets the same fault
  struct stat status {};
  // As many links as the system follows. The text of /proc/self/fd/1 and the like may name no file, but stat knows it.
  for (int links = 0; links < 40; ++links) {
    if (!std::filesystem::is_symlink(std::filesystem::symlink_status(target, ignored))) break;
    if (::stat(target.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) break;
    target = folder_of(target) / std::filesystem::read_symlink(target, ignored);
  }
  if (::stat(target.c_str(), &status) != 0) {
    if (errno == ENOENT) return target;
    throw_errno("inspect", path);
  }
  const std::string_view kind = S_ISDIR(status.st_mode)    ? "a folder"
                                : S_ISFIFO(status.st_mode) ? "a pipe"
                                : S_ISREG(status.st_mode)  ? ""
                                                           : "a device or a socket";
  if (!kind.empty()) throw IoError(str("is ", kind, ", and a file is to be written"), path.string(), cure);
  for (const int console : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat printed {};
    if (::fstat(console, &printed) != 0 || printed.st_dev != status.st_dev || printed.st_ino != status.st_ino) continue;
    throw IoError("is what this program prints to, and a file is to be written", path.string(), cure);
  }
  return target;
}

PendingFile::PendingFile(const std::filesystem::path& final_path)
    : final_path_(file_to_write(final_path)),
      partial_path_(partial_name(final_path_)),
      file_(create_anew(partial_path_, final_path_)) {
  struct stat replaced {};
  if (::stat(final_path_.c_str(), &replaced) != 0) return;
  // Some file systems have no permissions to set.
  [[maybe_unused]] const int unset = ::fchmod(file_.number(), replaced.st_mode & 0777U);
}

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
