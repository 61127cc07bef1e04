#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "integration/run_program.h"

namespace shine::test {

inline std::vector<nlohmann::json> events_of(const std::filesystem::path& run) {
  std::vector<nlohmann::json> events;
  for (const std::string& line : lines_of(read_bytes(run / "metrics.jsonl"))) {
    events.push_back(nlohmann::json::parse(line, nullptr, false));
    if (!events.back().is_object()) throw std::runtime_error("not a JSON object: " + line);
  }
  return events;
}

/// Everything but clocks.
inline nlohmann::json without_times(nlohmann::json event) {
  event.erase("time");
  event.erase("seconds");
  event.erase("tokens_per_second");
  event.erase("communication_seconds");
  event.erase("data_seconds");
  return event;
}

inline void expect_equal_metrics(const std::filesystem::path& left, const std::filesystem::path& right) {
  std::vector<nlohmann::json> a = events_of(left), b = events_of(right);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(without_times(a[i]), without_times(b[i]));
}

inline void expect_equal_checkpoints(const std::filesystem::path& left, const std::filesystem::path& right, int step) {
  const std::filesystem::path folder = std::filesystem::path("checkpoints") / ("step-" + std::to_string(step));
  const auto state_of = [&](const std::filesystem::path& run) {
    nlohmann::json state = nlohmann::json::parse(read_bytes(run / folder / "state.json"));
    state.erase("seconds");
    return state;
  };
  EXPECT_EQ(state_of(left), state_of(right));
  for (const char* name : {"trained.safetensors", "optimizer.safetensors", "random.safetensors"}) {
    const std::filesystem::path inner = folder / name;
    const std::string expected = read_bytes(left / inner);
    ASSERT_GT(expected.size(), 1000U) << (left / inner);
    EXPECT_TRUE(expected == read_bytes(right / inner)) << inner << " differs";
  }
}

}  // namespace shine::test
