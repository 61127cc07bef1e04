#include "distributed/store.h"

#include <c10/util/Logging.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "common/first_line.h"
#include "distributed/watchdog.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kJoined = "joined";
constexpr const char* kFailure = "failure";
constexpr const char* kHeard = "heard";
/// How much longer than its time-out a connection may take.
constexpr double kGraceSeconds = 5;
/// How long the rank that serves the store stays for late ranks after a failure.
constexpr double kServeSeconds = 10;

/// c10d reports failures (a lost connection, a collective) by messages with stack traces besides the exceptions that
/// say the same.
void silence_c10d() {
  constexpr int fatal_only = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") != nullptr) return;
  FLAGS_caffe2_log_level = std::max<int>(FLAGS_caffe2_log_level, fatal_only);
}

IoError store_error(const Launch& launch, std::string_view what) {
  return IoError(what, str(launch.master_address, ':', launch.master_port),
                 "start all ranks with the same MASTER_ADDR, which is rank 0's machine, and a free MASTER_PORT");
}

Launch meeting_place(Launch launch) {
  if (launch.size > 1 || launch.launcher != Launcher::none) return require_master(std::move(launch));
  launch.master_address = "127.0.0.1";
  launch.master_port = 0;
  return launch;
}

c10::intrusive_ptr<c10d::Store> connect(const Launch& launch, std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.master_port);
  options.isServer = serves_store(launch);
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(launch.master_address, options);
    // A store may serve more than one job in turn (a restart), and, by mistake, several at a time.
    return c10::make_intrusive<c10d::PrefixStore>("shine." + launch.job, std::move(store));
  } catch (const std::exception& error) {
    throw store_error(launch, first_line(error.what()));
  }
}

void wait_for_all(c10d::Store& store, const Launch& launch, Clock::time_point deadline) {
  std::int64_t joined = store.add(kJoined, 1);
  while (joined < launch.size) {
    const std::string failure = hear_failure(store, launch, kServeSeconds);
    SHINE_CHECK(failure.empty(), Error, "ends with the job: ", failure);
    SHINE_CHECK(Clock::now() < deadline, IoError,
                store_error(launch, str("only ", joined, " ranks came in time")).what());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    joined = store.add(kJoined, 0);
  }
}

}  // namespace

bool serves_store(const Launch& launch) {
  return launch.rank == 0 && !launch.agent_store;
}

void serve_until_all(c10d::Store& store, const Launch& launch, const std::string& key, double seconds) {
  if (!serves_store(launch)) return;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (store.add(key, 0) < launch.size && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void publish_failure(c10d::Store& store, const Launch& launch, int rank, std::string_view reason,
                     double serve_seconds) {
  store.compareSet(kFailure, "", str("rank ", rank, ": ", first_line(reason)));
  store.add(kHeard, 1);
  serve_until_all(store, launch, kHeard, serve_seconds);
}

std::string hear_failure(c10d::Store& store, const Launch& launch, double serve_seconds) {
  if (!store.check({kFailure})) return "";
  std::string failure = store.get_to_str(kFailure);
  store.add(kHeard, 1);
  serve_until_all(store, launch, kHeard, serve_seconds);
  return failure;
}

c10::intrusive_ptr<c10d::Store> connect_store(const Launch& launch, double timeout_seconds) {
  silence_c10d();
  return connect(meeting_place(launch), milliseconds(timeout_seconds));
}

c10::intrusive_ptr<c10d::Store> join_store(const Launch& launch, double timeout_seconds) {
  const Launch place = meeting_place(launch);
  const auto deadline = Clock::now() + milliseconds(timeout_seconds);
  // A request to a stopped store would wait forever.
  Watchdog watchdog(timeout_seconds + kGraceSeconds,
                    str("the store at ", place.master_address, ':', place.master_port,
                        " does not answer (is rank 0 stopped, or is this another program's port?)"));
  const Watchdog::Guard guard(watchdog);
  const c10::intrusive_ptr<c10d::Store> store = connect_store(place, timeout_seconds);
  try {
    wait_for_all(*store, place, deadline);
  } catch (const c10::Error& error) {
    throw store_error(place, first_line(error.what()));
  }
  return store;
}

}  // namespace shine
