#include "support/skip.h"

#include <gtest/gtest-spi.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "support/paths.h"

namespace shine::test {
namespace {

TEST(Skip, TheEnvironmentNamesFeatures) {
  EXPECT_NO_THROW(is_required("mpi"));
}

TEST(Skip, UnknownWordsAreErrors) {
  EXPECT_EQ(parse_features(""), std::set<std::string>{});
  EXPECT_EQ(parse_features("mpi"), std::set<std::string>{"mpi"});
  EXPECT_EQ(parse_features("gpu,avx512"), (std::set<std::string>{"avx512", "gpu"}));
  for (const char* list : {"avx", "mpi,gpus", "mpi, gpu", "mpi,,gpu", "all"}) {
    EXPECT_THROW(parse_features(list), std::invalid_argument) << list;
  }
  EXPECT_THROW(is_required("cuda"), std::invalid_argument);
}

/// $SHINE_REQUIRE while it lives.
class RequireGuard {
 public:
  explicit RequireGuard(const char* list) {
    if (const char* before = std::getenv("SHINE_REQUIRE")) before_ = before;
    setenv("SHINE_REQUIRE", list, 1);
  }
  ~RequireGuard() { before_.empty() ? unsetenv("SHINE_REQUIRE") : setenv("SHINE_REQUIRE", before_.c_str(), 1); }
  RequireGuard(const RequireGuard&) = delete;
  RequireGuard& operator=(const RequireGuard&) = delete;

 private:
  std::string before_;
};

void skip_for_want_of_a_gpu() {
  SHINE_SKIP("gpu", "there is none");
}

/// What the skipped test reports.
testing::TestPartResult result_of_skip(const char* required) {
  const RequireGuard guard(required);
  testing::TestPartResultArray results;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    skip_for_want_of_a_gpu();
  }
  EXPECT_EQ(results.size(), 1);
  return results.GetTestPartResult(0);
}

TEST(Skip, WhatCanBeRequiredIsSkippedByNoOtherMacro) {
  static const std::regex bare(R"re(GTEST_SKIP\(\).*(AVX|MPI|mpirun|no GPU))re");
  EXPECT_TRUE(std::regex_search("if (!runs) GTEST_SKIP() << \"no AVX-512\";", bare));
  for (const auto& file : std::filesystem::recursive_directory_iterator(source_dir() / "tests")) {
    if (file.path().extension() != ".cpp" && file.path().extension() != ".h") continue;
    if (file.path().filename() == "skip_test.cpp") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      EXPECT_FALSE(std::regex_search(line, bare)) << file.path() << ": " << line;
    }
  }
}

TEST(Skip, FailsWhereTheFeatureIsRequired) {
  EXPECT_TRUE(result_of_skip("mpi,avx512").skipped());
  const testing::TestPartResult failure = result_of_skip("mpi,gpu");
  EXPECT_TRUE(failure.fatally_failed());
  EXPECT_STREQ(failure.message(), "Failed\nSHINE_REQUIRE names gpu, and: there is none");
}

}  // namespace
}  // namespace shine::test
