#include "config/enum_value.h"

#include <gtest/gtest.h>

#include "shine/config/data_config.h"

namespace shine::test {
namespace {

TEST(EnumValue, IsFoundByItsName) {
  for (const std::string_view name : config_names(StageName{}))
    EXPECT_EQ(enum_name(*enum_value<StageName>(name)), name);
  EXPECT_EQ(enum_value<StageName>("ift_mqa"), StageName::ift_mqa);
  EXPECT_EQ(enum_value<StageName>("ift_mq"), std::nullopt);
  EXPECT_EQ(enum_value<StageName>(""), std::nullopt);
}

}  // namespace
}  // namespace shine::test
