#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "distributed/exchange.h"
#include "shine/common/error.h"
#include "shine/distributed/process_group.h"
#include "support/faults.h"

namespace shine {
namespace {

TEST(SingleProcess, IsAGroupOfOne) {
  const auto group = single_process();
  EXPECT_EQ(group->rank(), 0);
  EXPECT_EQ(group->size(), 1);
  EXPECT_TRUE(group->is_first());
  group->barrier();
  group->fail("nobody listens");
  group->finish();
}

TEST(SingleProcess, CollectivesKeepWhatIsThere) {
  const auto group = single_process();
  const at::Tensor values = at::arange(7, at::kInt);
  for (const Reduction reduction : {Reduction::sum, Reduction::minimum, Reduction::maximum}) {
    at::Tensor tensor = values.clone();
    group->all_reduce(tensor, reduction);
    EXPECT_TRUE(tensor.equal(values));
  }
  at::Tensor tensor = values.clone();
  group->broadcast(tensor, 0);
  group->all_gather(tensor, tensor);
  group->reduce_scatter(tensor, tensor);
  EXPECT_TRUE(tensor.equal(values));

  at::Tensor gathered = at::zeros({1, 7}, at::kInt), scattered = at::zeros({7}, at::kInt);
  group->all_gather(gathered, values);
  group->reduce_scatter(scattered, gathered);
  EXPECT_TRUE(gathered[0].equal(values));
  EXPECT_TRUE(scattered.equal(values));
}

TEST(SingleProcess, RefusesWhatSeveralRanksWouldRefuse) {
  const auto group = single_process();
  const at::Tensor even = at::zeros({4}), odd = at::zeros({3});
  EXPECT_THROW(group->all_reduce(at::zeros({4, 4}).t().narrow(0, 0, 2)), ShapeError);
  EXPECT_THROW(group->all_reduce(at::zeros({4}, at::kHalf)), ShapeError);
  EXPECT_THROW(group->broadcast(at::zeros({4}, at::kBool), 0), ShapeError);
  EXPECT_THROW(group->all_gather(even, odd), ShapeError);
  EXPECT_THROW(group->reduce_scatter(odd, even), ShapeError);
  EXPECT_THROW(group->all_gather(even, even.to(at::kDouble)), ShapeError);
}

TEST(SingleProcess, Texts) {
  const auto group = single_process();
  for (const std::string& text : {std::string(), std::string("a\0b\n", 4), std::string(100000, 'x')}) {
    EXPECT_EQ(broadcast_text(*group, text), text);
    EXPECT_EQ(gather_texts(*group, text), std::vector{text});
    require_equal(*group, text, "the text", "");
  }
}

TEST(ProcessGroup, OneRankNeedsNoBackend) {
  Launch launch;
  launch.launcher = Launcher::torchrun;
  EXPECT_EQ(make_process_group(launch, at::kCPU, {})->backend(), "one process");
}

TEST(ProcessGroup, TorchrunDoesNotServeRanksOnTheCpu) {
  Launch launch;
  launch.launcher = Launcher::torchrun;
  launch.size = 2;
  test::expect_fault<ConfigError>("mpirun -n 2", [&] { make_process_group(launch, at::kCPU, {}); });
}

}  // namespace
}  // namespace shine
