// Units of an evaluation over ranks: what rank 0 stores, and where a stopped evaluation ends.
#include "app/evaluate/unit_rounds.h"

#include <gtest/gtest.h>

#include "support/thread_group.h"

namespace shine::test {
namespace {

/// Writes down who did which unit.
class NotedWork : public UnitWork {
 public:
  NotedWork(const ProcessGroup& group, std::size_t units) : group_(group), units_(units) {}

  std::size_t units() const override { return units_; }
  std::optional<std::vector<std::string>> run(std::size_t unit) override {
    if (unit == fails_at_) throw IoError("unit cannot be done");
    done_.push_back(unit);
    if (unit == stopped_in_) {
      stop_reason_ = "SIGUSR1";
      return std::nullopt;
    }
    if (unit == stopped_after_) stop_reason_ = "SIGTERM";
    return std::vector{shine::str("unit ", unit, "\n"), shine::str(group_.rank())};
  }
  std::string keep(std::size_t unit, const std::vector<std::string>& results) override {
    EXPECT_EQ(group_.rank(), 0);
    EXPECT_EQ(results.at(0), shine::str("unit ", unit, "\n"));
    activations_ += results.at(0);
    ranks_ += results.at(1);
    return "kept";
  }

  std::size_t fails_at_ = 1000, stopped_in_ = 1000, stopped_after_ = 1000;
  std::vector<std::size_t> done_;
  std::string activations_, ranks_, stop_reason_;

 private:
  const ProcessGroup& group_;
  std::size_t units_;
};

UnitsDone run(ProcessGroup& group, NotedWork& work, std::size_t done = 0) {
  return run_units(
      group, work, done, [&] { return work.stop_reason_; }, ProgressForm::none);
}

std::string lines(std::size_t first, std::size_t end) {
  std::string text;
  for (std::size_t unit = first; unit < end; ++unit) text += shine::str("unit ", unit, "\n");
  return text;
}

TEST(UnitRounds, RankZeroKeepsAllInOrderWhateverTheNumberOfRanks) {
  for (const int ranks : {1, 2, 3, 9}) {
    run_ranks(ranks, [&](ProcessGroup& group) {
      NotedWork work(group, 7);
      const UnitsDone done = run(group, work);
      EXPECT_EQ(done.units, 7U);
      EXPECT_EQ(done.stopped_by, "");
      EXPECT_EQ(work.activations_, group.is_first() ? lines(0, 7) : "");
      std::vector<std::size_t> own;
      for (auto unit = static_cast<std::size_t>(group.rank()); unit < 7; unit += static_cast<std::size_t>(ranks)) {
        own.push_back(unit);
      }
      EXPECT_EQ(work.done_, own);
    });
  }
}

TEST(UnitRounds, GoesOnBehindWhatRankZeroHas) {
  run_ranks(3, [](ProcessGroup& group) {
    NotedWork work(group, 8);
    EXPECT_EQ(run(group, work, group.is_first() ? 4 : 99).units, 8U);
    if (!group.is_first()) return;
    EXPECT_EQ(work.activations_, lines(4, 8));
    EXPECT_EQ(work.ranks_, "0120");
    EXPECT_EQ(work.done_, (std::vector<std::size_t>{4, 7}));
  });
  run_ranks(2, [](ProcessGroup& group) {
    NotedWork work(group, 5);
    EXPECT_EQ(run(group, work, 5).units, 5U);
    EXPECT_TRUE(work.done_.empty());
  });
}

TEST(UnitRounds, AStopOfOneRankEndsAllAtWholeUnits) {
  for (const std::size_t unit : {3, 4, 5}) {
    run_ranks(3, [&](ProcessGroup& group) {
      NotedWork work(group, 20);
      work.stopped_in_ = unit;
      const UnitsDone done = run(group, work);
      EXPECT_EQ(done.units, unit) << "behind the gap nothing is kept";
      EXPECT_EQ(done.stopped_by, "SIGUSR1");
      EXPECT_EQ(work.activations_, group.is_first() ? lines(0, unit) : "");
    });
    run_ranks(3, [&](ProcessGroup& group) {
      NotedWork work(group, 20);
      work.stopped_after_ = unit;
      const UnitsDone done = run(group, work);
      EXPECT_EQ(done.units, 6U) << "the round is kept";
      EXPECT_EQ(done.stopped_by, "SIGTERM");
    });
  }
}

TEST(UnitRounds, ASignalBeforeTheFirstUnitAndOneInTheLast) {
  run_ranks(2, [](ProcessGroup& group) {
    NotedWork work(group, 4);
    if (group.rank() == 1) work.stop_reason_ = "SIGINT";
    const UnitsDone done = run(group, work);
    EXPECT_EQ(done.stopped_by, "SIGINT");
    EXPECT_EQ(done.units, 1U);
  });
  run_ranks(2, [](ProcessGroup& group) {
    NotedWork work(group, 4);
    work.stopped_after_ = 3;
    const UnitsDone done = run(group, work);
    EXPECT_EQ(done.stopped_by, "") << "all was done";
    EXPECT_EQ(done.units, 4U);
  });
}

TEST(UnitRounds, AFaultOfOneRankIsThrown) {
  EXPECT_THROW(run_ranks(3,
                         [](ProcessGroup& group) {
                           NotedWork work(group, 9);
                           work.fails_at_ = 4;
                           run(group, work);
                         }),
               IoError);
}

}  // namespace
}  // namespace shine::test
