#include "distributed/start_failure.h"

#include <chrono>
#include <exception>
#include <string>

#include "common/run_within.h"
#include "distributed/store.h"

namespace shine {
namespace {

/// For one attempt, of which c10d makes two.
constexpr double kConnectSeconds = 2;
/// Ranks that start later than this one.
constexpr double kServeSeconds = 10;
constexpr std::chrono::seconds kLongest{20};

}  // namespace

void report_failure_before_start(const Launch& launch, std::string_view device_name, std::string_view reason) noexcept {
  if (launch.size == 1 || launch.launcher == Launcher::mpirun || device_name == "cpu") return;
  try {
    // A request to a stopped store never returns.
    run_within(kLongest, [launch, reason = std::string(reason)] {
      publish_failure(*connect_store(launch, kConnectSeconds), launch, launch.rank, reason, kServeSeconds);
    });
  } catch (const std::exception&) {
    // The others wait until their time-out.
  }
}

}  // namespace shine
