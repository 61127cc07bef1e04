#include "common/main_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include "common/process_label.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
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

TEST(MainGuard, AClosedStreamIsNotTheNextFile) {
  const TemporaryFolder folder;
  const auto body = [&] {
    for (const int stream : {0, 1}) ::close(stream);
    return run_main("prog", [&] {
      const int file = ::open((folder.path() / "f").c_str(), O_WRONLY | O_CREAT, 0600);
      std::printf("printed\n");
      if (std::fflush(stdout) == 0 || ::write(1, "x", 1) == 1) return 3;
      char byte = 0;
      return file > 2 && ::read(0, &byte, 1) < 0 ? 0 : 4;
    });
  };
  EXPECT_EXIT(std::_Exit(body()), testing::ExitedWithCode(0), "^$");
  EXPECT_EQ(read_bytes(folder.path() / "f"), "");
}

TEST(MainGuard, OutputThatWasNotTakenIsOneLine) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const auto body = [](int status, const char* text) {
    if (std::freopen("/dev/full", "w", stdout) == nullptr) std::_Exit(9);
    std::_Exit(run_main("prog", [&] {
      std::printf("%s", text);
      return status;
    }));
  };
  EXPECT_EXIT(body(0, "printed"), testing::ExitedWithCode(1),
              "^prog: error: standard output: cannot be written: No space left on device\n$");
  EXPECT_EXIT(body(75, "printed"), testing::ExitedWithCode(75), "^$");
  EXPECT_EXIT(body(0, ""), testing::ExitedWithCode(0), "^$");
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

/// Removes the label however a test ends.
class Labelled : public testing::Test {
 protected:
  void TearDown() override { set_process_label(""); }
};

TEST_F(Labelled, TheFirstRankSaysAtOnceWhichItIs) {
  set_process_label("rank 0 of 2");
  const auto start = std::chrono::steady_clock::now();
  const Ending ending = ending_of([]() -> int { throw ConfigError("wrong", "a.yaml"); });
  EXPECT_EQ(ending.status, 1);
  EXPECT_EQ(ending.err, "prog: rank 0 of 2: error: a.yaml: wrong\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST_F(Labelled, AnotherRankGivesTheFirstTheTimeToSayIt) {
  set_process_label("rank 1 of 2", false);
  const auto start = std::chrono::steady_clock::now();
  const Ending ending = ending_of([]() -> int { throw std::logic_error("index\nframe #0"); });
  EXPECT_EQ(ending.status, 2);
  EXPECT_EQ(ending.err, "prog: rank 1 of 2: internal error: index\n");
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1900));
}

TEST_F(Labelled, AMappedFileThatIsShortenedIsOneLine) {
  const auto body = [] {
    set_process_label("rank 1 of 2", false);
    return ::raise(SIGBUS);
  };
  EXPECT_EXIT(std::_Exit(run_main("prog", body)), testing::ExitedWithCode(1),
              "^prog: rank 1 of 2: error: a mapped file");
}

TEST(MainGuard, AFaultGoesToTheLogFilesToo) {
  const TemporaryFolder folder;
  const auto body = [&]() -> int {
    add_log_file(folder.path() / "log.txt");
    throw IoError("gone", "b.bin");
  };
  EXPECT_EXIT(std::_Exit(run_main("prog", body)), testing::ExitedWithCode(1), "^prog: error: b.bin: gone\n$");
  const std::string log = read_bytes(folder.path() / "log.txt");
  EXPECT_TRUE(log.ends_with(" error error: b.bin: gone\n")) << log;
}

TEST(EndProcess, AThreadEndsAProgramThatHangs) {
  const TemporaryFolder folder;
  const auto body = [&]() -> int {
    set_process_label("rank 1 of 2", false);
    add_log_file(folder.path() / "log.txt");
    std::thread([] { end_process("lost\nframe #0"); }).join();
    return 3;
  };
  EXPECT_EXIT(std::_Exit(run_main("prog", body)), testing::ExitedWithCode(1), "^prog: rank 1 of 2: error: lost\n$");
  const std::string log = read_bytes(folder.path() / "log.txt");
  EXPECT_TRUE(log.ends_with(" error error: lost\n")) << log;
}

TEST(EndProcess, ALogFileThatTakesNothingDoesNotHoldItUp) {
  const TemporaryFolder folder;
  const std::filesystem::path pipe = folder.path() / "log.txt";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDWR | O_NONBLOCK);
  const std::string block(4096, ' ');
  while (::write(reader, block.data(), block.size()) > 0) continue;
  const auto body = [&]() -> int {
    add_log_file(pipe);
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      end_process("lost");
    }).detach();
    log_to_files(LogLevel::error, "never written");
    return 3;
  };
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EXIT(std::_Exit(run_main("prog", body)), testing::ExitedWithCode(1), "^prog: error: lost\n$");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  ::close(reader);
}

struct Announced {
  ~Announced() { ::write(STDERR_FILENO, "destroyed\n", 10); }
};

TEST(MainGuard, StaticObjectsLiveOnWhereTheyAreKept) {
  const auto end = [](bool kept) {
    static const Announced announced;
    std::exit(run_main("prog", [&]() -> int {
      if (kept) keep_static_objects();
      throw Error("lost");
    }));
  };
  EXPECT_EXIT(end(false), testing::ExitedWithCode(1), "^prog: error: lost\ndestroyed\n$");
  EXPECT_EXIT(end(true), testing::ExitedWithCode(1), "^prog: error: lost\n$");
}

}  // namespace
}  // namespace shine::test
