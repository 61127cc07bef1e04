#include "common/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace shine {

void fill_standard_streams() noexcept {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number, hence this one: those below are taken by now. The wrong direction makes its use fail.
    [[maybe_unused]] const int taken = ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace shine
