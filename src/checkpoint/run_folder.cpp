#include "checkpoint/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "io/files/posix_file.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"

namespace shine {

void write_finished_mark(const RunFolder& run, const FinishedMark& mark) {
  const nlohmann::ordered_json content{{"step", mark.step}, {"total_steps", mark.total_steps}};
  write_file_atomically(run.finished(), content.dump() + "\n");
}

std::optional<FinishedMark> read_finished_mark(const RunFolder& run) {
  if (!std::filesystem::exists(run.finished())) return std::nullopt;
  const std::string where = run.finished().string();
  const nlohmann::json content = read_json_file(where);
  return FinishedMark{get_int(content, "step", where), get_int(content, "total_steps", where)};
}

void remove_finished_mark(const RunFolder& run) {
  if (::unlink(run.finished().c_str()) != 0 && errno != ENOENT) throw_errno("remove", run.finished());
}

RunLock::RunLock(const RunFolder& run, std::string_view key, std::string_view fault)
    : file_(::open(run.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (file_ < 0) throw_errno("create", run.lock());
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  const bool held = errno == EWOULDBLOCK;
  const int reason = errno;
  ::close(file_);
  if (held) {
    throw IoError(fault, str(key, " ", run.root.string()), str("wait for it, or use another ", key));
  }
  errno = reason;
  throw_errno("lock", run.lock());
}

RunLock::~RunLock() {
  ::close(file_);
}

}  // namespace shine
