#include "io/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "shine/common/error.h"

namespace shine {

FolderLock::FolderLock(const std::filesystem::path& folder, Held held, std::string_view fault)
    : file_(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (file_.number() < 0) throw_errno("create", folder / "lock");
  const int operation = LOCK_EX | (held == Held::refuse ? LOCK_NB : 0);
  while (::flock(file_.number(), operation) != 0) {
    if (errno == EWOULDBLOCK) throw IoError(fault, folder.string(), "wait for it");
    if (errno != EINTR) throw_errno("lock", folder / "lock");
  }
}

}  // namespace shine
