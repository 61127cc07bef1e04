#include "app/train/describe_rank.h"

#include <gtest/gtest.h>

namespace shine::test {
namespace {

ExperimentConfig config_of(const std::string& device, std::int64_t accumulation, bool shard) {
  ExperimentConfig config;
  config.run.dir = "runs/x";
  config.run.device = device;
  config.optimizer.accumulation = accumulation;
  config.optimizer.batch_size = 2;
  config.optimizer.shard = shard;
  return config;
}

Launch rank_of(int rank, int size, int local_rank, int local_size) {
  Launch launch;
  launch.launcher = Launcher::torchrun;
  launch.rank = rank;
  launch.size = size;
  launch.local_rank = local_rank;
  launch.local_size = local_size;
  launch.master_address = "first";
  launch.master_port = 29500;
  return launch;
}

TEST(DescribeRank, SaysWhatARankWouldDo) {
  EXPECT_EQ(describe_rank(config_of("cuda", 32, true), rank_of(5, 8, 1, 4)),
            "rank 5 of 8: local rank 1 of 4; device cuda:1; 4 of 32 micro-batches of 2 a step; 1/8 of the moments; "
            "meets the others through NCCL by the store of rank 0 at first:29500; writes runs/x/log-rank5.txt\n");
  EXPECT_EQ(describe_rank(config_of("cpu", 6, false), rank_of(0, 4, 0, 4)),
            "rank 0 of 4: local rank 0 of 4; device cpu; 2 of 6 micro-batches of 2 a step; all of the moments; meets "
            "the others through MPI; writes checkpoints, metrics and log in runs/x\n");
  EXPECT_EQ(describe_rank(config_of("cpu", 6, true), {}),
            "rank 0 of 1: local rank 0 of 1; device cpu; 6 of 6 micro-batches of 2 a step; all of the moments; alone; "
            "writes checkpoints, metrics and log in runs/x\n");
}

TEST(DescribeRank, SharesOfAllRanksAreTheStep) {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    std::int64_t all = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const std::string text = describe_rank(config_of("auto", 7, false), rank_of(rank, ranks, rank, ranks));
      const std::size_t end = text.find(" of 7 micro-batches"), begin = text.rfind(' ', end - 1);
      all += std::stoll(text.substr(begin, end - begin));
    }
    EXPECT_EQ(all, 7);
  }
}

}  // namespace
}  // namespace shine::test
