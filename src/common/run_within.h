#pragma once

#include <chrono>
#include <functional>

namespace shine {

/// Runs a task that may hang in a thread of its own and waits for it at most so long; after that the thread is left
/// running until the process ends. What the task throws is dropped. Throws std::system_error where no thread can be
/// started.
void run_within(std::chrono::seconds limit, std::function<void()> task);

}  // namespace shine
