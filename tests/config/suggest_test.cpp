#include "config/suggest.h"

#include <gtest/gtest.h>

namespace shine {
namespace {

TEST(Suggest, EditDistanceCountsASwapOfNeighboursOnce) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("ab", "ba"), 1U);
  EXPECT_EQ(edit_distance("lora_rnak", "lora_rank"), 1U);
  EXPECT_EQ(edit_distance("abcd", "acbd"), 1U);
  EXPECT_EQ(edit_distance("rank", "ranks"), 1U);
}

TEST(Suggest, NearestNameIsTheClosestOneWithinAThirdOfTheLength) {
  const std::vector<std::string> names = {"learning_rate", "beta1", "beta2", "path", "dir"};
  EXPECT_EQ(nearest_name("learnin_rat", names), "learning_rate");
  EXPECT_EQ(nearest_name("pth", names), "path");
  EXPECT_EQ(nearest_name("beta3", names), "beta1");
  EXPECT_EQ(nearest_name("lr", names), "");
  EXPECT_EQ(nearest_name("xyz", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(1000, 'a'), names), "");
}

}  // namespace
}  // namespace shine
