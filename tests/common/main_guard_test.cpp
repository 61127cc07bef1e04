#include "shine/common/main_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

struct Ending {
  int status;
  std::string err;
};

Ending ending_of(const std::function<int()>& body) {
  testing::internal::CaptureStderr();
  const int status = run_main("prog", body, "lower x");
  return {status, testing::internal::GetCapturedStderr()};
}

TEST(MainGuard, EveryKindOfFaultIsOneLine) {
  EXPECT_EQ(ending_of([] { return 7; }).status, 7);
  const Ending error = ending_of([]() -> int { throw FormatError("broken", "a.json:3", "mend it"); });
  EXPECT_EQ(error.status, 1);
  EXPECT_EQ(error.err, "prog: error: a.json:3: broken (mend it)\n");
  const Ending memory = ending_of([]() -> int { throw std::bad_alloc(); });
  EXPECT_EQ(memory.status, 1);
  EXPECT_EQ(memory.err, "prog: error: out of memory (lower x)\n");
  const Ending device =
      ending_of([]() -> int { throw std::runtime_error("CUDA out of memory. Tried 2 GiB\nframe #0"); });
  EXPECT_EQ(device.status, 1);
  EXPECT_EQ(device.err, "prog: error: out of memory: CUDA out of memory. Tried 2 GiB (lower x)\n");
  const Ending other = ending_of([]() -> int { throw std::logic_error("index\nframe #0"); });
  EXPECT_EQ(other.status, 2);
  EXPECT_EQ(other.err, "prog: internal error: index\n");
}

TEST(MainGuard, AMappedFileThatIsShortenedIsOneLine) {
  const TemporaryFolder folder;
  const auto body = [&] {
    const int file = ::open((folder.path() / "f").c_str(), O_RDWR | O_CREAT, 0600);
    constexpr std::size_t size = 8192;
    if (file < 0 || ::ftruncate(file, size) != 0) return 3;
    const auto* bytes = static_cast<const char*>(::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0));
    if (::ftruncate(file, 0) != 0) return 3;
    return static_cast<int>(*static_cast<const volatile char*>(bytes)) + 4;
  };
  EXPECT_EXIT(std::_Exit(run_main("prog", body)), testing::ExitedWithCode(1), "^prog: error: a mapped file");
}

}  // namespace
}  // namespace shine::test
