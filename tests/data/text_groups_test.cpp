#include "data/pretrain/text_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "data/golden.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Groups = std::vector<std::vector<std::size_t>>;

TEST(TextGroups, EqualThePythonPacking) {
  const auto cases = test::read_data_golden("packing.json");
  ASSERT_EQ(cases.size(), 10U);
  for (const auto& golden : cases) {
    const auto packed = pack_texts(golden["costs"].get<std::vector<std::int64_t>>(),
                                   golden["max_cost"].get<std::int64_t>(), golden["open_groups"].get<std::size_t>());
    EXPECT_EQ(packed.groups, golden["groups"].get<Groups>());
    EXPECT_EQ(packed.report.over_long, golden["over_long"].get<std::size_t>());
    EXPECT_EQ(packed.report.tokens_cut, golden["tokens_cut"].get<std::int64_t>());
    EXPECT_EQ(packed.report.texts, golden["costs"].size());
    EXPECT_EQ(packed.report.groups, golden["groups"].size());
  }
}

TEST(TextGroups, FirstFitFullestClosedItsPlaceTakenAndTooLongAtOnce) {
  // Places after 7, 5: [7] [5]. 6 fits neither: [7] closes, 6 takes the FIRST place. 4 goes to it, 5 to the second.
  const auto packed = pack_texts({7, 5, 6, 12, 4, 5}, 10, 2);
  EXPECT_EQ(packed.groups, (Groups{{0}, {3}, {2, 4}, {1, 5}}));
  EXPECT_EQ(packed.report.over_long, 1U);
  EXPECT_EQ(packed.report.tokens_cut, 2);
  EXPECT_DOUBLE_EQ(packed.report.fill, (7 + 5 + 6 + 10 + 4 + 5) / 40.0);
}

TEST(TextGroups, EveryTextOnceAndNoGroupTooFull) {
  for (const auto& golden : test::read_data_golden("packing.json")) {
    const auto costs = golden["costs"].get<std::vector<std::int64_t>>();
    const auto max_cost = golden["max_cost"].get<std::int64_t>();
    std::multiset<std::size_t> seen;
    for (const auto& group : pack_texts(costs, max_cost, 3).groups) {
      std::int64_t cost = 0;
      for (const std::size_t text : group) cost += costs[text];
      EXPECT_TRUE(cost <= max_cost || group.size() == 1);
      EXPECT_TRUE(std::ranges::is_sorted(group));
      seen.insert(group.begin(), group.end());
    }
    EXPECT_EQ(seen.size(), costs.size());
    EXPECT_EQ(std::set<std::size_t>(seen.begin(), seen.end()).size(), costs.size());
  }
}

TEST(TextGroups, RefusesImpossibleLimits) {
  EXPECT_THROW(pack_texts({1}, 0, 1), ConfigError);
}

TEST(TextGroups, WithoutOpenGroupsEveryTextIsAGroup) {
  const TextGroups packed = pack_texts({3, 1, 9, 2}, 8, 0);
  EXPECT_EQ(packed.groups, (std::vector<std::vector<std::size_t>>{{0}, {1}, {2}, {3}}));
  EXPECT_EQ(packed.report.over_long, 1U);
  EXPECT_EQ(packed.report.tokens_cut, 1);
}

}  // namespace
}  // namespace shine
