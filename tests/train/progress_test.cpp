#include "train/progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shine::test {
namespace {

/// What lines at these times, in seconds, leave on standard error; the job has `total` parts.
std::string said(ProgressForm form, const std::vector<double>& times, std::int64_t total) {
  testing::internal::CaptureStderr();
  {
    double now = 0.0;
    ProgressLine line(form, [&] { return now; });
    for (std::size_t i = 0; i < times.size(); ++i) {
      now = times[i];
      line.show(static_cast<std::int64_t>(i) + 1, total, "part " + std::to_string(i + 1));
    }
  }
  return testing::internal::GetCapturedStderr();
}

TEST(ProgressLine, APipeGetsALineInTenSecondsAtMostAndTheLast) {
  EXPECT_EQ(said(ProgressForm::plain, {0, 1, 9.9, 10, 15, 21, 22}, 7), "part 1\npart 4\npart 6\npart 7\n");
  EXPECT_EQ(said(ProgressForm::plain, {0, 11, 22}, 3), "part 1\npart 2\npart 3\n");
  EXPECT_EQ(said(ProgressForm::automatic, {0, 1, 2}, 3), "part 1\npart 3\n") << "a captured stream is no terminal";
}

TEST(ProgressLine, WhatWasHeldBackIsSaidWhenAJobStopsEarly) {
  EXPECT_EQ(said(ProgressForm::plain, {0, 1, 2}, 90), "part 1\npart 3\n");
  EXPECT_EQ(said(ProgressForm::plain, {0}, 90), "part 1\n");
  EXPECT_EQ(said(ProgressForm::plain, {}, 90), "");
}

TEST(ProgressLine, ABarIsClearedWithoutBlanks) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line(ProgressForm::bar);
    line.show(1, 2, "half");
    line.interrupt();
    line.show(2, 2, "all");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "\r\033[K[==========..........] half\r\033[K\r\033[K[====================] all\n");
}

TEST(ProgressLine, NoneSaysNothing) {
  EXPECT_EQ(said(ProgressForm::none, {0, 20, 40}, 3), "");
}

}  // namespace
}  // namespace shine::test
