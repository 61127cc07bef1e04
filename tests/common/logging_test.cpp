#include "shine/common/logging.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/paths.h"

namespace shine::test {
namespace {

/// Each in a process of its own: the console's level and the log files cannot be reset.
TEST(Logging, AConsoleThatIsSilentBelowErrorsLeavesTheFileWhole) {
  const TemporaryFolder folder;
  const auto body = [&] {
    add_log_file(folder.path() / "log-rank1.txt");
    set_console_level(LogLevel::error);
    log_info("one");
    log_warning("two");
    log(LogLevel::error, "three");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "^[0-9:]+ error three\n$");
  const std::string log = read_bytes(folder.path() / "log-rank1.txt");
  EXPECT_NE(log.find(" info one\n"), log.npos) << log;
  EXPECT_NE(log.find(" warning two\n"), log.npos) << log;
  EXPECT_NE(log.find(" error three\n"), log.npos) << log;
}

TEST(Logging, WhatIsForTheFilesAloneDoesNotReachTheConsole) {
  const TemporaryFolder folder;
  const auto body = [&] {
    log_to_files(LogLevel::error, "lost");
    add_log_file(folder.path() / "log.txt");
    log_to_files(LogLevel::error, "kept");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "^$");
  EXPECT_TRUE(read_bytes(folder.path() / "log.txt").ends_with(" error kept\n"));
}

TEST(Logging, AFullDiskIsPassedOverInSilence) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const auto body = [] {
    add_log_file("/dev/full");
    log_to_files(LogLevel::error, "no room");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace shine::test
