// AdamW over ranks against AdamW in one process with the summed gradients.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <limits>
#include <mutex>

#include "optim/gradient_reducer.h"
#include "optim/rank_check.h"
#include "shine/common/error.h"
#include "shine/optim/adamw.h"
#include "support/faults.h"
#include "support/thread_group.h"

namespace shine::test {
namespace {

constexpr int kSteps = 5;
/// Small, so that there are several, and tensors are cut by the pieces of ranks.
constexpr std::int64_t kBucket = 50;

at::Tensor random_tensor(at::IntArrayRef sizes, std::uint64_t seed) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed), at::kFloat);
}

std::vector<ParamGroup> make_groups() {
  const auto leaf = [](at::IntArrayRef sizes, std::uint64_t seed) {
    return random_tensor(sizes, seed).requires_grad_(true);
  };
  return {{"decayed", 0.3, {"a", "b", "c"}, {leaf({7, 5}, 1), leaf({3}, 2), leaf({11, 9}, 3)}},
          {"undecayed", 0.0, {"d", "e"}, {leaf({1}, 4), leaf({40}, 5)}}};
}

OptimizerConfig config_of(ClipKind clip, bool shard) {
  OptimizerConfig config;
  config.clip = clip;
  config.clip_norm = 3.0;
  config.shard = shard;
  return config;
}

at::Tensor gradient(const at::Tensor& tensor, int step, int rank, std::size_t number) {
  return random_tensor(tensor.sizes(), static_cast<std::uint64_t>(1000 * step + 100 * rank) + number);
}

/// Adds the gradient of some ranks.
void add_gradients(AdamW& optimizer, int step, const std::vector<int>& ranks) {
  std::size_t number = 0;
  for (const ParamGroup& group : optimizer.groups()) {
    for (const at::Tensor& tensor : group.tensors) {
      for (const int rank : ranks) tensor.mutable_grad().add_(gradient(tensor, step, rank, number));
      ++number;
    }
  }
}

struct Outcome {
  std::vector<at::Tensor> values;
  std::map<std::string, at::Tensor> moments;
  std::vector<StepNorms> norms;
};

Outcome outcome_of(const AdamW& optimizer) {
  Outcome outcome;
  for (const ParamGroup& group : optimizer.groups()) {
    for (const at::Tensor& tensor : group.tensors) outcome.values.push_back(tensor.detach().clone());
  }
  for (const auto& [name, tensor] : optimizer.state()) outcome.moments[name] = tensor.clone();
  return outcome;
}

Outcome single_outcome(ClipKind clip, int ranks) {
  AdamW optimizer(make_groups(), config_of(clip, false));
  std::vector<int> all;
  for (int rank = 0; rank < ranks; ++rank) all.push_back(rank);
  std::vector<StepNorms> norms;
  for (int step = 0; step < kSteps; ++step) {
    optimizer.zero_gradients();
    add_gradients(optimizer, step, all);
    norms.push_back(optimizer.step(0.02, 0.5));
  }
  Outcome outcome = outcome_of(optimizer);
  outcome.norms = norms;
  return outcome;
}

void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-5) << what;
}

struct Case {
  int ranks;
  bool shard;
  ClipKind clip;
};

class AdamWRanks : public testing::TestWithParam<Case> {};

TEST_P(AdamWRanks, StepsAsOneProcessWithTheSumOfTheGradients) {
  const auto [ranks, shard, clip] = GetParam();
  const Outcome expected = single_outcome(clip, ranks);
  std::mutex mutex;
  run_ranks(ranks, [&, shard = shard, clip = clip](ProcessGroup& group) {
    AdamW optimizer(make_groups(), config_of(clip, shard), shared(group), kBucket);
    std::vector<StepNorms> norms;
    for (int step = 0; step < kSteps; ++step) {
      optimizer.zero_gradients();
      add_gradients(optimizer, step, {group.rank()});
      norms.push_back(optimizer.step(0.02, 0.5));
    }
    const Outcome found = outcome_of(optimizer);
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      expect_close(found.values[i], expected.values[i], "parameter " + std::to_string(i));
    }
    for (int step = 0; step < kSteps; ++step) {
      const StepNorms& mine = norms[static_cast<std::size_t>(step)];
      const StepNorms& wanted = expected.norms[static_cast<std::size_t>(step)];
      EXPECT_NEAR(mine.global_norm, wanted.global_norm, 1e-4);
      for (std::size_t g = 0; g < wanted.group_norms.size(); ++g) {
        EXPECT_NEAR(mine.group_norms[g], wanted.group_norms[g], 1e-4);
        for (std::size_t t = 0; t < wanted.tensor_norms[g].size(); ++t) {
          EXPECT_NEAR(mine.tensor_norms[g][t], wanted.tensor_norms[g][t], 1e-4);
        }
      }
    }
    if (shard && !group.is_first()) {
      EXPECT_TRUE(found.moments.empty());
      return;
    }
    ASSERT_EQ(found.moments.size(), expected.moments.size());
    for (const auto& [name, tensor] : expected.moments) expect_close(found.moments.at(name), tensor, name);
  });
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const int ranks : {1, 2, 3, 4}) {
    for (const bool shard : {false, true}) {
      for (const ClipKind clip : {ClipKind::none, ClipKind::global, ClipKind::per_group}) {
        cases.push_back({ranks, shard, clip});
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, AdamWRanks, testing::ValuesIn(all_cases()), [](const auto& tested) {
  return str(tested.param.ranks, tested.param.shard ? "Sharded" : "Whole",
             config_names(ClipKind{})[static_cast<std::size_t>(tested.param.clip)]);
});

TEST(AdamWSharding, StateMovesBetweenRankCounts) {
  const Outcome whole = single_outcome(ClipKind::global, 1);
  for (const int ranks : {1, 2, 3}) {
    run_ranks(ranks, [&](ProcessGroup& group) {
      AdamW optimizer(make_groups(), config_of(ClipKind::global, true), shared(group), kBucket);
      optimizer.load_state(group.is_first() ? whole.moments : std::map<std::string, at::Tensor>{}, 5);
      EXPECT_EQ(optimizer.steps(), 5);
      const Outcome found = outcome_of(optimizer);
      if (!group.is_first()) return;
      ASSERT_EQ(found.moments.size(), whole.moments.size());
      for (const auto& [name, tensor] : whole.moments) EXPECT_TRUE(at::equal(found.moments.at(name), tensor)) << name;
    });
  }
}

std::vector<std::string> state_names(const AdamW& optimizer) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) names.push_back(name);
  return names;
}

TEST(AdamWSharding, TheFirstRanksStateHasTheOrderOfAnUnshardedOne) {
  const std::vector<std::string> expected = state_names(AdamW(make_groups(), config_of(ClipKind::none, false)));
  EXPECT_EQ(expected.size(), 10U);
  run_ranks(3, [&](ProcessGroup& group) {
    const AdamW optimizer(make_groups(), config_of(ClipKind::none, true), shared(group), kBucket);
    EXPECT_EQ(state_names(optimizer), group.is_first() ? expected : std::vector<std::string>{});
  });
}

TEST(AdamWSharding, EachRankKeepsItsShareOfTheMoments) {
  run_ranks(4, [](ProcessGroup& group) {
    const at::Tensor large = at::zeros({4096}).requires_grad_(true);
    const AdamW optimizer({{"all", 0.0, {"large"}, {large}}}, config_of(ClipKind::none, true), shared(group));
    EXPECT_EQ(optimizer.whole_moment_bytes(), 2 * 4096 * 4);
    EXPECT_EQ(optimizer.moment_bytes(), 2 * 1024 * 4);
  });
}

TEST(AdamWRanks, AGradientThatIsNotFiniteOnOneRankSkipsTheStepOnAll) {
  for (const bool shard : {false, true}) {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      run_ranks(3, [&](ProcessGroup& group) {
        AdamW optimizer(make_groups(), config_of(ClipKind::global, shard), shared(group), kBucket);
        const Outcome before = outcome_of(optimizer);
        add_gradients(optimizer, 0, {group.rank()});
        if (group.rank() == 2) optimizer.groups()[1].tensors[1].mutable_grad()[17] = bad;
        EXPECT_FALSE(optimizer.step(0.02).finite);
        EXPECT_EQ(optimizer.steps(), 0);
        const Outcome after = outcome_of(optimizer);
        for (std::size_t i = 0; i < before.values.size(); ++i) {
          EXPECT_TRUE(at::equal(after.values[i], before.values[i]));
        }
      });
    }
  }
}

/// Counts collectives that were begun while the last backward was still running.
class CountingGroup : public ProcessGroup {
 public:
  explicit CountingGroup(ProcessGroup& inner) : ProcessGroup(inner.rank(), inner.size()), inner_(inner) {}
  std::string backend() const override { return inner_.backend(); }
  Pending start_all_reduce(at::Tensor tensor, Reduction reduction) override {
    ++started;
    return inner_.start_all_reduce(std::move(tensor), reduction);
  }
  Pending start_reduce_scatter(at::Tensor output, at::Tensor input) override {
    ++started;
    return inner_.start_reduce_scatter(std::move(output), std::move(input));
  }
  Pending start_all_gather(at::Tensor output, at::Tensor input) override {
    return inner_.start_all_gather(std::move(output), std::move(input));
  }
  void broadcast(at::Tensor tensor, int root) override { inner_.broadcast(std::move(tensor), root); }
  void barrier() override { inner_.barrier(); }
  void finish() override { inner_.finish(); }

  int started = 0;

 private:
  ProcessGroup& inner_;
};

at::Tensor loss_of(const AdamW& optimizer, double factor) {
  at::Tensor loss = at::zeros({});
  for (const ParamGroup& group : optimizer.groups()) {
    for (const at::Tensor& tensor : group.tensors) loss = loss + (tensor.square().sum() * factor);
  }
  return loss;
}

TEST(GradientReducer, BucketsBeginInTheLastBackwardAndARankWithoutOneIsNotWaitedFor) {
  for (const bool shard : {false, true}) {
    run_ranks(2, [&](ProcessGroup& group) {
      CountingGroup counting(group);
      AdamW optimizer(make_groups(), config_of(ClipKind::none, shard), shared(counting), kBucket);
      const std::vector<ParamGroup> start = make_groups();
      if (group.rank() == 0) {
        loss_of(optimizer, 0.5).backward();
        EXPECT_EQ(counting.started, 0) << "only the last backward may send";
        optimizer.begin_last_backward();
        // All ranks of a thread group meet in a collective: the other one comes with its reduce_gradients below.
        loss_of(optimizer, 1.0).backward();
        EXPECT_GT(counting.started, 2);
      }
      optimizer.reduce_gradients();
      const int buckets = counting.started;
      EXPECT_GT(buckets, 2);
      const StepNorms norms = optimizer.step(0.0);
      EXPECT_EQ(counting.started, buckets + (shard ? 1 : 0)) << "gradients are summed once (and norms with sharding)";
      // d/dx of 1.5 x^2 is 3 x.
      EXPECT_NEAR(norms.tensor_norms[0][0], 3 * start[0].tensors[0].norm().item<double>(), 1e-4);
      EXPECT_NEAR(norms.tensor_norms[1][1], 3 * start[1].tensors[1].norm().item<double>(), 1e-4);
    });
  }
}

TEST(RankCheck, EqualTensorsPassAndADifferenceIsNamedOnEveryRank) {
  run_ranks(3, [](ProcessGroup& group) {
    const at::Tensor first = random_tensor({13, 7}, 1), second = random_tensor({5}, 2), third = random_tensor({2}, 3);
    const std::vector<NamedTensor> tensors{{"first", first}, {"second", second}, {"third", third}};
    EXPECT_NO_THROW(require_equal_tensors(group, tensors, "at the start"));
    if (group.rank() == 2) second[3] = std::nextafter(second[3].item<float>(), 10.0F);
    if (group.rank() == 1) third[0] = 5;
    EXPECT_EQ(fault_of<DivergenceError>([&] {
                require_equal_tensors(group, tensors, "after step 7");
              }).find("second: differs from rank 0's on rank 2 after step 7"),
              0U);
  });
}

TEST(RankCheck, SumsSeeExchangedValuesSignsOfZeroAndEveryType) {
  const at::Tensor values = random_tensor({100}, 4);
  at::Tensor exchanged = values.clone();
  exchanged[10] = values[20];
  exchanged[20] = values[10];
  EXPECT_EQ(bit_sums(values), bit_sums(values.clone()));
  EXPECT_EQ(bit_sums(values), bit_sums(values.view({10, 10})));
  EXPECT_NE(bit_sums(values), bit_sums(exchanged));
  EXPECT_NE(bit_sums(at::zeros({3})), bit_sums(-at::zeros({3})));
  for (const auto type : {at::kDouble, at::kBFloat16, at::kLong}) {
    const at::Tensor whole = at::arange(1, 8, type);
    at::Tensor other = whole.clone();
    other[6] = 100;
    EXPECT_NE(bit_sums(whole), bit_sums(other));
  }
  EXPECT_EQ(bit_sums(at::zeros({0})), (std::array<std::int64_t, 2>{0, 0}));
}

}  // namespace
}  // namespace shine::test
