#include "common/start_threads.h"

#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "common/memory_guard.h"
#include "shine/common/error.h"

namespace shine {

void require_threads(int count) {
  if (count <= 0) return;
  std::latch all_tried(1);
  std::vector<std::jthread> threads;
  try {
    for (int i = 0; i < count; ++i) threads.emplace_back([&] { all_tried.wait(); });
    all_tried.count_down();
  } catch (const std::system_error&) {
    all_tried.count_down();
    throw UnsupportedError(str(kNoThread, ": ", threads.size(), " of ", count, " are granted"), {}, kNoThreadCure);
  }
}

}  // namespace shine
