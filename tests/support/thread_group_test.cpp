// The ranks that are threads, which tests of several ranks stand on.
#include "support/thread_group.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "distributed/exchange.h"
#include "support/faults.h"

namespace shine::test {
namespace {

constexpr int kRanks = 3;

/// The message of what run_ranks throws; empty where it throws nothing.
std::string failure_of(const std::function<void(ProcessGroup&)>& body) {
  return fault_of<std::exception>([&] { run_ranks(kRanks, body); });
}

TEST(ThreadGroup, CollectivesGiveWhatTheyPromise) {
  run_ranks(kRanks, [](ProcessGroup& group) {
    const double rank = group.rank();
    const at::Tensor sum = at::full({2}, rank + 1, at::kDouble);
    const auto pending = group.start_all_reduce(sum, Reduction::sum);
    EXPECT_EQ(sum[0].item<double>(), rank + 1);  // not before wait
    pending->wait();
    EXPECT_EQ(sum[0].item<double>(), 6);
    const at::Tensor least = at::full({1}, group.rank() + 4, at::kLong), most = least.clone();
    group.all_reduce(least, Reduction::minimum);
    group.all_reduce(most, Reduction::maximum);
    EXPECT_EQ(least.item<std::int64_t>(), 4);
    EXPECT_EQ(most.item<std::int64_t>(), 6);

    const at::Tensor values = at::arange(6, at::kFloat) + rank;  // 3 pieces of 2; the sum is 3 * value + 3
    const at::Tensor own = values.narrow(0, 2 * group.rank(), 2);
    group.reduce_scatter(own, values);
    EXPECT_TRUE(own.equal(3 * (at::arange(2, at::kFloat) + 2 * rank) + 3));
    EXPECT_TRUE(std::isnan(values[(2 * group.rank() + 2) % 6].item<double>()));
    group.all_gather(values, own);
    EXPECT_TRUE(values.equal(3 * at::arange(6, at::kFloat) + 3));

    const at::Tensor word = at::full({1}, group.rank(), at::kInt);
    group.broadcast(word, 2);
    EXPECT_EQ(word.item<int>(), 2);
    EXPECT_EQ(join(gather_texts(group, std::string(static_cast<std::size_t>(group.rank()), 'x')), ","), ",x,xx");
    group.barrier();
    group.finish();
  });
}

TEST(ThreadGroup, TheFirstFailureIsThrownAndNoRankHangs) {
  EXPECT_EQ(failure_of([](ProcessGroup& group) {
              if (group.rank() == 1) throw Error("rank 1 fails");
              group.barrier();
            }),
            "rank 1 fails");
  EXPECT_NE(failure_of([](ProcessGroup& group) {
              if (group.rank() != 1) group.barrier();
            }).find("has left"),
            std::string::npos);
}

TEST(ThreadGroup, RanksThatDoDifferentThingsFail) {
  EXPECT_NE(failure_of([](ProcessGroup& group) {
              const at::Tensor tensor = at::zeros({group.rank() == 2 ? 2 : 1});
              group.all_reduce(tensor);
            }).find("rank 0 calls all_reduce Float [1] (0), rank 2 all_reduce Float [2] (0)"),
            std::string::npos);
  EXPECT_NE(failure_of([](ProcessGroup& group) {
              if (group.rank() == 0) group.barrier();
              if (group.rank() != 0) group.broadcast(at::zeros({1}), 0);
            }).find("rank 0 calls barrier"),
            std::string::npos);
}

}  // namespace
}  // namespace shine::test
