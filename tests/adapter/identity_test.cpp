#include "adapter/identity.h"

#include "io/expect_fault.h"
#include "shine/common/error.h"

namespace shine {
namespace {

TEST(Identity, ReturnsFromItsEntries) {
  const AdapterMetadata written{"0123456789abcdef", "fedcba9876543210", "models/base", "shine 0.3.0"};
  auto entries = identity_entries(written);
  EXPECT_EQ(entries.size(), 4U);
  entries["format"] = "pt";
  const AdapterMetadata read = identity_of(entries, "x");
  EXPECT_EQ(read.identity, written.identity);
  EXPECT_EQ(read.backbone, written.backbone);
  EXPECT_EQ(read.base_model, written.base_model);
  EXPECT_EQ(read.tool, written.tool);
}

TEST(Identity, OfAnotherToolIsEmpty) {
  EXPECT_TRUE(identity_entries({}).empty());
  EXPECT_EQ(identity_of({{"format", "pt"}}, "x").identity, "");
}

TEST(Identity, RefusesWhatIsNoHash) {
  for (const char* text : {"", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0", "\n123456789abcdef"}) {
    test::expect_fault<FormatError>("x: shine.backbone is", [&] { identity_of({{"shine.backbone", text}}, "x"); });
  }
}

}  // namespace
}  // namespace shine
