#include "shine/distributed/launch.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine {
namespace {

using Variables = std::map<std::string, std::string>;

Launch launch_of(const Variables& variables) {
  return read_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

Variables with(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

const Variables kTorchrun{{"RANK", "5"},
                          {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},
                          {"LOCAL_WORLD_SIZE", "4"},
                          {"MASTER_ADDR", "node0"},
                          {"MASTER_PORT", "29400"},
                          {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                          {"TORCHELASTIC_RUN_ID", "abc"},
                          {"TORCHELASTIC_RESTART_COUNT", "2"}};
const Variables kMpirun{{"OMPI_COMM_WORLD_RANK", "3"},
                        {"OMPI_COMM_WORLD_SIZE", "4"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                        {"PMIX_NAMESPACE", "481755137"}};
/// What a batch script has: it runs once, on the first machine, and is no step.
const Variables kBatch{{"SLURM_JOB_ID", "77"},
                       {"SLURM_NTASKS", "7"},
                       {"SLURM_PROCID", "0"},
                       {"SLURM_LOCALID", "0"},
                       {"SLURM_NODEID", "0"},
                       {"SLURM_NNODES", "4"},
                       {"SLURM_TASKS_PER_NODE", "2(x3),1"}};
const Variables kSrun = with(kBatch, {{"SLURM_PROCID", "5"},
                                      {"SLURM_LOCALID", "1"},
                                      {"SLURM_NODEID", "2"},
                                      {"SLURM_STEP_ID", "0"},
                                      {"SLURM_STEP_NUM_TASKS", "7"},
                                      {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"}});

void expect_place(const Launch& launch, Launcher launcher, std::array<int, 4> place) {
  EXPECT_EQ(launch.launcher, launcher);
  EXPECT_EQ((std::array{launch.rank, launch.size, launch.local_rank, launch.local_size}), place);
}

/// The message of the ConfigError that this environment is, which must be one line.
std::string fault_of(const Variables& variables) {
  const std::string message = test::fault_of<ConfigError>([&] { launch_of(variables); });
  EXPECT_NE(message, "") << "accepted";
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

void expect_fault(const Variables& variables, const std::vector<std::string>& parts) {
  const std::string message = fault_of(variables);
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " / " << message;
}

TEST(Launch, AProcessOfItsOwn) {
  expect_place(launch_of({}), Launcher::none, {0, 1, 0, 1});
  EXPECT_EQ(rank_label(launch_of({})), "");
  expect_place(launch_of({{"MASTER_ADDR", "node0"}, {"MASTER_PORT", "1"}}), Launcher::none, {0, 1, 0, 1});
}

TEST(Launch, Torchrun) {
  const Launch launch = launch_of(kTorchrun);
  expect_place(launch, Launcher::torchrun, {5, 8, 1, 4});
  EXPECT_EQ(launch.master_address, "node0");
  EXPECT_EQ(launch.master_port, 29400);
  EXPECT_TRUE(launch.agent_store);
  EXPECT_EQ(launch.job, "abc.2");
  EXPECT_EQ(rank_label(launch), "rank 5 of 8");
  EXPECT_FALSE(launch_of(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}})).agent_store);
  EXPECT_FALSE(launch_of(without(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE")).agent_store);
}

TEST(Launch, Mpirun) {
  const Launch launch = launch_of(kMpirun);
  expect_place(launch, Launcher::mpirun, {3, 4, 1, 2});
  EXPECT_EQ(launch.job, "481755137");
  EXPECT_FALSE(launch.agent_store);
  EXPECT_EQ(launch_of(with(kMpirun, {{"MASTER_ADDR", "node7"}})).master_address, "node7");
}

TEST(Launch, Srun) {
  const Launch launch = launch_of(kSrun);
  expect_place(launch, Launcher::srun, {5, 7, 1, 2});
  EXPECT_EQ(launch.job, "77.0.");
  const Variables last = with(kSrun, {{"SLURM_PROCID", "6"}, {"SLURM_LOCALID", "0"}, {"SLURM_NODEID", "3"}});
  expect_place(launch_of(last), Launcher::srun, {6, 7, 0, 1});
  const Variables plain = with(kSrun, {{"SLURM_STEP_TASKS_PER_NODE", "1,2,3,1"}});
  expect_place(launch_of(plain), Launcher::srun, {5, 7, 1, 3});
}

TEST(Launch, ABatchScriptIsNoStep) {
  expect_place(launch_of(kBatch), Launcher::none, {0, 1, 0, 1});
}

TEST(Launch, TheInnermostLauncherCounts) {
  expect_place(launch_of(with(kTorchrun, kSrun)), Launcher::torchrun, {5, 8, 1, 4});
  expect_place(launch_of(with(kTorchrun, kMpirun)), Launcher::torchrun, {5, 8, 1, 4});
  expect_place(launch_of(with(kMpirun, kSrun)), Launcher::mpirun, {3, 4, 1, 2});
  expect_place(launch_of(with(kMpirun, kBatch)), Launcher::mpirun, {3, 4, 1, 2});
}

TEST(Launch, AHalfSetSetNamesWhatIsMissing) {
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}) {
    expect_fault(without(kTorchrun, name), {std::string("here ") + name + " is missing", "torchrun"});
  }
  for (const char* name :
       {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}) {
    expect_fault(without(kMpirun, name), {std::string("here ") + name + " is missing", "mpirun"});
  }
  for (const char* name :
       {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE"}) {
    expect_fault(without(kSrun, name), {std::string("here ") + name + " is missing", "srun"});
  }
  expect_fault({{"RANK", "0"}, {"WORLD_SIZE", "2"}},
               {"LOCAL_RANK, LOCAL_WORLD_SIZE are missing beside RANK, WORLD_SIZE", "unset all"});
  // An incomplete set of an inner launcher is not hidden by a complete one of an outer launcher.
  expect_fault(with(without(kTorchrun, "RANK"), kSrun), {"here RANK is missing"});
}

TEST(Launch, WhatIsNoNumber) {
  for (const char* value : {"", " 1", "1 ", "-1", "+1", "1.0", "0x1", "one", "99999999999"}) {
    expect_fault(with(kTorchrun, {{"RANK", value}}), {std::string("RANK is `") + value + "`, not a whole number"});
    expect_fault(with(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_SIZE", value}}), {"OMPI_COMM_WORLD_LOCAL_SIZE is `"});
    expect_fault(with(kSrun, {{"SLURM_NODEID", value}}), {"SLURM_NODEID is `"});
    expect_fault(with(kTorchrun, {{"MASTER_PORT", value}}), {"MASTER_PORT is `"});
  }
}

TEST(Launch, RanksOutsideTheirSize) {
  expect_fault(with(kTorchrun, {{"RANK", "8"}}), {"RANK is 8 and WORLD_SIZE is 8"});
  expect_fault(with(kTorchrun, {{"LOCAL_RANK", "4"}}), {"LOCAL_RANK is 4 and LOCAL_WORLD_SIZE is 4"});
  expect_fault(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}}), {"LOCAL_WORLD_SIZE is 9, more than WORLD_SIZE"});
  expect_fault(with(kMpirun, {{"OMPI_COMM_WORLD_SIZE", "0"}}), {"OMPI_COMM_WORLD_RANK is 3", "is 0"});
  expect_fault(with(kSrun, {{"SLURM_PROCID", "7"}}), {"SLURM_PROCID is 7 and SLURM_STEP_NUM_TASKS is 7"});
  expect_fault(with(kSrun, {{"SLURM_LOCALID", "2"}}), {"SLURM_LOCALID is 2", "SLURM_STEP_TASKS_PER_NODE is 2"});
  expect_fault(with(kSrun, {{"SLURM_STEP_TASKS_PER_NODE", "8(x3)"}}), {"8 tasks", "SLURM_STEP_NUM_TASKS, which is 7"});
}

TEST(Launch, BrokenListsOfTasks) {
  for (const char* list : {"", "2(x2)", "1,1", "2,2,", ","}) {
    expect_fault(with(kSrun, {{"SLURM_STEP_TASKS_PER_NODE", list}}), {"SLURM_STEP_TASKS_PER_NODE is `"});
  }
  for (const char* list : {"(x3)", "2(x3", "2(x)", "2(3)", "2 (x3)", "a", "2(x99999999999)", "2(x"}) {
    expect_fault(with(kSrun, {{"SLURM_STEP_TASKS_PER_NODE", list}}), {"not like `2(x3),1`"});
  }
}

TEST(Launch, PortsOutsideTheirRange) {
  expect_fault(with(kTorchrun, {{"MASTER_PORT", "0"}}), {"MASTER_PORT is 0, outside 1 .. 65535"});
  expect_fault(with(kTorchrun, {{"MASTER_PORT", "65536"}}), {"MASTER_PORT is 65536"});
  EXPECT_EQ(launch_of(with(kTorchrun, {{"MASTER_PORT", "65535"}})).master_port, 65535);
}

TEST(Launch, AnotherMpiIsNotTakenForASingleProcess) {
  expect_fault({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}},
               {"MPICH", "OpenMPI's mpirun"});
}

TEST(Launch, WhereTheRanksMeet) {
  Launch one_machine;
  one_machine.size = one_machine.local_size = 4;
  EXPECT_EQ(require_master(one_machine).master_address, "127.0.0.1");
  EXPECT_EQ(require_master(one_machine).master_port, kDefaultMasterPort);
  one_machine.master_port = 1234;
  EXPECT_EQ(require_master(one_machine).master_port, 1234);

  const auto fault = [](Variables variables) -> std::string {
    return test::fault_of<ConfigError>([&] { require_master(launch_of(variables)); });
  };
  EXPECT_NE(fault(kMpirun).find("MASTER_ADDR and MASTER_PORT not set"), std::string::npos) << fault(kMpirun);
  EXPECT_NE(fault(with(kMpirun, {{"MASTER_ADDR", "node0"}})).find("machines, and MASTER_PORT not set"),
            std::string::npos);
  EXPECT_EQ(fault(kTorchrun), "");
  EXPECT_EQ(require_master(launch_of(kTorchrun)).master_address, "node0");
}

}  // namespace
}  // namespace shine
