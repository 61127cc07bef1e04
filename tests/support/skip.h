#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

/// Skips the test that this machine cannot run, and fails it where $SHINE_REQUIRE says that the machine has `feature`,
/// one of shine::test::kFeatures: `if (!kernels_run(type)) SHINE_SKIP("avx512", "no AVX-512");`.
#define SHINE_SKIP(feature, reason)                                                 \
  do {                                                                              \
    if (::shine::test::is_required(feature)) {                                      \
      GTEST_FAIL() << "SHINE_REQUIRE names " << (feature) << ", and: " << (reason); \
    }                                                                               \
    GTEST_SKIP() << (reason);                                                       \
  } while (false)

namespace shine::test {

/// What a machine may lack. avx512: also its bf16 instructions, for the CPU backend; mpi: OpenMPI, in the build and as
/// mpirun; gpu: one that LibTorch can use.
inline constexpr std::array<std::string_view, 3> kFeatures{"avx512", "mpi", "gpu"};

inline bool is_feature(std::string_view word) {
  for (const std::string_view feature : kFeatures) {
    if (word == feature) return true;
  }
  return false;
}

/// The words of a list such as "avx512,mpi"; std::invalid_argument for one that is no feature.
inline std::set<std::string> parse_features(std::string_view list) {
  std::set<std::string> features;
  while (!list.empty()) {
    const std::string word(list.substr(0, list.find(',')));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    if (!is_feature(word)) {
      throw std::invalid_argument("SHINE_REQUIRE: '" + word + "' is none of avx512, mpi, gpu");
    }
    features.insert(word);
  }
  return features;
}

/// Whether $SHINE_REQUIRE, a list such as "avx512,mpi", names the feature. std::invalid_argument for unknown words in
/// either.
inline bool is_required(std::string_view feature) {
  if (!is_feature(feature)) throw std::invalid_argument("no feature: " + std::string(feature));
  const char* list = std::getenv("SHINE_REQUIRE");
  return list != nullptr && parse_features(list).contains(std::string(feature));
}

}  // namespace shine::test
