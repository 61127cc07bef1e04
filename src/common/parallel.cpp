#include "common/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace shine {
namespace {

/// Items a thread takes at a time: few enough to share work evenly, many enough to make the counter cheap.
std::size_t chunk_items(std::size_t count, std::size_t threads) {
  return std::clamp<std::size_t>(count / (8 * threads), 1, 32);
}

}  // namespace

void parallel_for(std::size_t count, int threads, const std::function<void(std::size_t)>& body,
                  const Progress& progress) {
  std::atomic<std::size_t> taken = 0;
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> failed = false;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted = threads > 0 ? static_cast<std::size_t>(threads) : cores;
  const std::size_t chunk = chunk_items(count, wanted);

  const auto work = [&](bool report) {
    try {
      while (!failed) {
        const std::size_t begin = taken.fetch_add(chunk);
        if (begin >= count) return;
        const std::size_t end = begin + std::min(chunk, count - begin);
        for (std::size_t i = begin; i < end; ++i) body(i);
        const std::size_t now = done += end - begin;
        if (report && progress && now < count) progress(now, count);
      }
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  };

  const std::size_t useful = count / chunk + 1;
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < std::min(wanted, useful); ++i) helpers.emplace_back(work, false);
    work(true);
  }
  if (failure) std::rethrow_exception(failure);
  if (progress) progress(count, count);
}

}  // namespace shine
