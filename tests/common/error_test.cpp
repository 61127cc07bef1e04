#include "shine/common/error.h"

#include <gtest/gtest.h>

#include "support/faults.h"

namespace shine {
namespace {

TEST(Error, NamesPlaceFaultAndCureOnOneLine) {
  EXPECT_STREQ(FormatError("expected 3, found 4", "a.json:7", "shorten it").what(),
               "a.json:7: expected 3, found 4 (shorten it)");
  EXPECT_STREQ(IoError("no such file").what(), "no such file");
}

TEST(Error, CheckThrowsTheNamedKind) {
  EXPECT_NO_THROW(SHINE_CHECK(true, ShapeError, "unused"));
  EXPECT_EQ(test::fault_of<ShapeError>([&] { SHINE_CHECK(false, ShapeError, "rank ", 3); }), "rank 3");
}

TEST(Str, JoinsAnyItems) {
  EXPECT_EQ(join(std::vector<int>{1, 2, 3}, ", "), "1, 2, 3");
}

}  // namespace
}  // namespace shine
