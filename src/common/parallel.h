#pragma once

#include <cstddef>
#include <functional>

namespace shine {

/// Called now and then, and once at the end, with (items done, items in total), on the thread that started the work.
using Progress = std::function<void(std::size_t done, std::size_t total)>;

/// Calls `body(i)` once for each i in 0 .. count - 1 on `threads` threads, the caller's among them (0: as many as the
/// machine has cores). Returns when all are done. The first exception of a body stops the rest and is thrown here.
void parallel_for(std::size_t count, int threads, const std::function<void(std::size_t)>& body,
                  const Progress& progress = {});

}  // namespace shine
