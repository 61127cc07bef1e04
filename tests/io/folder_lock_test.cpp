#include "io/files/folder_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <span>

#include "io/files/checksum.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine {
namespace {

TEST(FolderLock, IsHeldByOneAtATime) {
  const test::TemporaryFolder folder;
  std::optional<FolderLock> lock(std::in_place, folder.path(), FolderLock::Held::refuse, "busy");
  test::expect_fault<IoError>("busy", [&] { FolderLock(folder.path(), FolderLock::Held::refuse, "busy"); });
  lock.reset();
  FolderLock(folder.path(), FolderLock::Held::refuse, "busy");
  test::expect_fault<IoError>("cannot create", [&] { FolderLock(folder.path() / "none", FolderLock::Held::wait); });
}

TEST(FolderLock, IsWaitedForUntilItsProcessEnds) {
  const test::TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    const FolderLock lock(folder.path(), FolderLock::Held::refuse, "busy");
    const bool told = write(ready[1], "x", 1) == 1;
    usleep(100'000);
    _exit(told ? 0 : 1);  // without destructors, as a kill
  }
  char told = 0;
  ASSERT_EQ(read(ready[0], &told, 1), 1);
  EXPECT_THROW(FolderLock(folder.path(), FolderLock::Held::refuse, "busy"), IoError);
  const FolderLock lock(folder.path(), FolderLock::Held::wait);
  int status = 0;
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
  EXPECT_EQ(status, 0);
  close(ready[0]);
  close(ready[1]);
}

/// XXH3's own number for no bytes, and parts that add up to the whole.
TEST(Checksum, IsThatOfAllParts) {
  EXPECT_EQ(Checksum().value(), 0x2D06800538D394C2U);
  const std::string text(5000, 'x');
  const auto bytes = std::as_bytes(std::span(text));
  Checksum parts;
  parts.add(bytes.first(7)).add(bytes.subspan(7, 1000)).add(bytes.subspan(1007));
  EXPECT_EQ(parts.value(), Checksum::of(bytes));
  EXPECT_NE(Checksum::of(bytes.first(4999)), Checksum::of(bytes));
}

}  // namespace
}  // namespace shine
