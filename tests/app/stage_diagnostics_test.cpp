#include "app/train/stage_diagnostics.h"

#include <gtest/gtest.h>

#include <cstring>

#include "decoder/tiny_model.h"
#include "support/thread_group.h"

namespace shine::test {
namespace {

class GeneratedVectors : public testing::Test {
 protected:
  GeneratedVectors() : decoder_(tiny_decoder()), hypernetwork_(tiny_hypernetwork(*decoder_)) {}

  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Hypernetwork> hypernetwork_;
  std::vector<std::vector<std::int64_t>> contexts_ = random_rows({5, 9, 3, 7, 11, 2, 6}, 3);
};

TEST_F(GeneratedVectors, HaveTheSameBitsForAnyNumberOfRanks) {
  const auto alone = single_process();
  const at::NoGradGuard no_grad;
  for (const std::int64_t batch_size : {1, 2, 3}) {
    const at::Tensor expected = *generate_vectors(*hypernetwork_, contexts_, batch_size, *alone);
    const at::Tensor first = hypernetwork_->generate(TokenRows::pack({contexts_.front()}, at::kCPU)).vector;
    EXPECT_LT(relative_error(expected.narrow(0, 0, 1), first), 1e-5);
    EXPECT_EQ(expected.size(0), 7);
    for (const int ranks : {1, 2, 3, 5}) {
      run_ranks(ranks, [&](ProcessGroup& group) {
        const auto found = generate_vectors(*hypernetwork_, contexts_, batch_size, group);
        ASSERT_TRUE(found && found->sizes() == expected.sizes());
        EXPECT_EQ(std::memcmp(found->const_data_ptr(), expected.const_data_ptr(), expected.nbytes()), 0) << ranks;
      });
    }
  }
}

TEST_F(GeneratedVectors, OneRankThatIsToStopStopsAll) {
  run_ranks(3, [&](ProcessGroup& group) {
    const auto stop = [&] { return group.rank() == 2; };
    EXPECT_FALSE(generate_vectors(*hypernetwork_, contexts_, 1, group, stop));
  });
}

}  // namespace
}  // namespace shine::test
