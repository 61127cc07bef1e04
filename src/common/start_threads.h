#pragma once

namespace shine {

/// Throws UnsupportedError where the system does not grant so many threads beside those that run: libraries that start
/// threads of their own end the process, or hang, where they get none. They are started, all at once, and ended.
void require_threads(int count);

}  // namespace shine
