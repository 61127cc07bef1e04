#include "common/run_within.h"

#include <future>
#include <thread>
#include <utility>

namespace shine {

void run_within(std::chrono::seconds limit, std::function<void()> task) {
  std::packaged_task<void()> running(std::move(task));
  const std::future<void> done = running.get_future();
  std::thread(std::move(running)).detach();
  done.wait_for(limit);
}

}  // namespace shine
