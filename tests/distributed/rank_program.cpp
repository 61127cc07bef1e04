// shine_test_rank MODE SECONDS [DETAIL]: one rank of a job that a test starts. Rank 1 is the one that misbehaves.
#include <ATen/ATen.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>

#include "common/main_guard.h"
#include "common/process_label.h"
#include "distributed/backends.h"
#include "distributed/failure_watch.h"
#include "distributed/rank_collectives.h"
#include "distributed/rank_device.h"
#include "distributed/start_failure.h"
#include "distributed/store.h"
#include "shine/common/error.h"
#include "shine/common/str.h"
#include "shine/distributed/process_group.h"
#include "train/rank_steps.h"

namespace shine::test {
namespace {

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// A group on the CPU whose collectives may take `seconds`.
std::unique_ptr<ProcessGroup> group_of(const Launch& launch, double seconds, std::int64_t message_elements = 1 << 20) {
  GroupOptions options;
  options.timeout_seconds = seconds;
  options.message_elements = message_elements;
  return make_process_group(launch, at::kCPU, options);
}

/// Every collective, texts, and an end that all ranks agree on.
int check_contract(const Launch& launch, double seconds, const std::string& message_elements) {
  const auto group = group_of(launch, seconds, std::stoll(message_elements));
  check_collectives(*group, at::kCPU);
  check_texts(*group);
  group->finish();
  std::cout << str(rank_label(launch), ' ', group->backend(), " kept the contract\n") << std::flush;
  return 75;
}

/// The same on GPUs, for a group of one too, with tensors there and on the CPU.
int check_gpu_contract(const Launch& launch, double seconds) {
  const at::Device device = rank_device("cuda", launch);
  GroupOptions options;
  options.timeout_seconds = seconds;
  const auto group = make_nccl_group(launch, device, options);
  check_collectives(*group, device);
  check_collectives(*group, at::kCPU);
  check_texts(*group);
  group->finish();
  std::cout << str(rank_label(launch), ' ', group->backend(), " kept the contract\n") << std::flush;
  return 75;
}

/// Optimizer steps in which one rank loses some or all micro-batches.
int check_steps(const Launch& launch, double seconds) {
  const std::shared_ptr<ProcessGroup> group = group_of(launch, seconds);
  for (const StepForm& form : all_step_forms()) {
    for (const std::vector<Rows>& micro_batches : rank_step_cases()) {
      const std::string difference = difference_to_one_process(group, form, micro_batches);
      SHINE_CHECK(difference.empty(), Error, difference);
    }
  }
  group->finish();
  return 0;
}

/// All ranks meet once; then rank 1 does `what`.
int misbehave(const Launch& launch, double seconds, const std::string& what) {
  const bool bad = launch.rank == 1;
  if (bad && what == "comes late") sleep_for(seconds / 4);
  if (bad && what == "does not come") sleep_for(60);
  const auto group = group_of(launch, seconds);
  at::Tensor values = at::ones({100000});
  group->all_reduce(values);
  if (bad && what == "sleeps") sleep_for(60);
  if (bad && what == "is killed") ::raise(SIGKILL);
  if (bad && what == "throws") throw ConfigError("bad luck", "rank 1");
  group->all_reduce(values);
  group->finish();
  return 0;
}

/// A rank with a failure watch, whose other ranks hang unless it ends them.
int watch(const Launch& launch, double seconds, const std::string& what) {
  if (what == "is killed early") ::raise(SIGKILL);
  if (what == "fails before the start") {
    const ConfigError fault("unknown key", "a.yaml");
    report_failure_before_start(launch, "auto", fault.what());
    throw fault;
  }
  const auto store = join_store(launch, /*timeout_seconds=*/seconds * 10);
  FailureWatchOptions options;
  options.poll_seconds = 0.05;
  options.silence_seconds = seconds;
  std::atomic<bool> fault = false;
  options.own_fault = [&] { return fault ? std::string("a device is lost\nand its trace") : ""; };
  FailureWatch failure_watch(store->clone(), launch, options);
  // Every rank watches before one misbehaves.
  store->add("met", 1);
  while (store->add("met", 0) < launch.size) sleep_for(0.02);
  sleep_for(0.3);  // until the others have heard of the last to come
  fault = what == "finds a fault";
  if (what == "fails") {
    failure_watch.fail("the disk is full\nand more lines");
    throw ConfigError("the disk is full", "run.dir");
  }
  if (what == "is killed") ::raise(SIGKILL);
  if (what == "stops") ::raise(SIGSTOP);
  if (what == "hangs" || what == "finds a fault") sleep_for(60);
  if (what == "leaves late") sleep_for(seconds / 8);
  failure_watch.leave();
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  SHINE_CHECK(arguments.size() == 3, ConfigError, "expected MODE SECONDS DETAIL");
  const Launch launch = read_launch();
  set_process_label(rank_label(launch), launch.rank == 0);
  const std::string& mode = arguments[0];
  const std::string& detail = arguments[2];
  const double seconds = std::stod(arguments[1]);
  if (mode == "contract") return check_contract(launch, seconds, detail);
  if (mode == "steps") return check_steps(launch, seconds);
  if (mode == "gpu") return check_gpu_contract(launch, seconds);
  if (mode == "misbehave") return misbehave(launch, seconds, detail);
  if (mode == "watch") return watch(launch, seconds, detail);
  throw ConfigError(str("no mode ", mode));
}

}  // namespace
}  // namespace shine::test

int main(int argc, char** argv) {
  return shine::run_main("shine_test_rank", [&] { return shine::test::run({argv + 1, argv + argc}); });
}
