#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "io/expect_fault.h"
#include "io/files/atomic_folder.h"
#include "io/files/line_file.h"
#include "io/files/mapped_file.h"
#include "io/files/text_file.h"
#include "io/safetensors/model_files.h"
#include "shine/common/error.h"
#include "support/paths.h"
#include "support/sanitizer.h"

namespace shine {
namespace {

namespace fs = std::filesystem;
using test::expect_fault;

TEST(MappedFile, HoldsTheContent) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x";
  test::write_bytes(path, "abc");
  const MappedFile file(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.data()), file.size()), "abc");
  test::write_bytes(folder.path() / "empty", "");
  EXPECT_EQ(MappedFile(folder.path() / "empty").size(), 0U);
  expect_fault<IoError>("absent: cannot open", [&] { const MappedFile absent(folder.path() / "absent"); });
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  expect_fault<IoError>("pipe: expected a regular file", [&] { const MappedFile pipe(folder.path() / "pipe"); });
}

#ifndef SHINE_ADDRESS_SANITIZER
TEST(MappedFile, WithoutAddressesItIsOutOfMemory) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x";
  test::write_bytes(path, "");
  fs::resize_file(path, std::uintmax_t{1} << 40);  // takes no place on the disk
  rlimit old_limit{};
  getrlimit(RLIMIT_AS, &old_limit);
  const rlimit limit{std::size_t{1} << 36, old_limit.rlim_max};
  setrlimit(RLIMIT_AS, &limit);
  expect_fault<IoError>("x: cannot map: out of memory", [&] { const MappedFile file(path); });
  setrlimit(RLIMIT_AS, &old_limit);
}
#endif

TEST(LineFile, LinesAreThereAsTheyCome) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "lines";
  test::write_bytes(path, "kept\ncut o");
  LineFile lines(path, "kept\n");
  lines.append("one\ntwo\n");
  EXPECT_EQ(read_text_file(path), "kept\none\ntwo\n");
  expect_fault<IoError>("no/such", [&] { const LineFile absent(folder.path() / "no/such", ""); });
}

TEST(MakeFolder, MakesTheParentsAndNamesTheKeyOfAFault) {
  const test::TemporaryFolder folder;
  make_folder(folder.path() / "a/b");
  make_folder(folder.path() / "a/b");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a/b"));
  test::write_bytes(folder.path() / "file", "");
  const std::string below = (folder.path() / "file/c").string();
  expect_fault<IoError>(below + ": cannot make the folder: Not a directory", [&] { make_folder(below); });
  expect_fault<IoError>("run.dir " + below + ": cannot make the folder: Not a directory (choose another run.dir)",
                        [&] { make_folder(below, "run.dir", "choose another run.dir"); });
}

TEST(TextFile, IsReadWholeUpToABound) {
  const test::TemporaryFolder folder;
  const std::string content(3'000'000, 'z');
  write_file_atomically(folder.path() / "x", content);
  EXPECT_EQ(read_text_file(folder.path() / "x"), content);
  EXPECT_EQ(read_text_file(folder.path() / "x", content.size()), content);
  EXPECT_THROW(read_text_file(folder.path() / "x", content.size() - 1), FormatError);
}

TEST(TextFile, AFailedWriteLeavesTheOldContentOnly) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x";
  write_file_atomically(path, "old");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit{4096, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  expect_fault<IoError>("x: cannot write", [&] { write_file_atomically(path, std::string(10'000, 'n')); });
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read_text_file(path), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  expect_fault<IoError>("no/such", [&] { write_file_atomically(folder.path() / "no/such", ""); });
}

TEST(TextFile, ALinkStaysAndItsTargetIsWritten) {
  const test::TemporaryFolder folder, other;
  test::write_bytes(other.path() / "target", "old");
  fs::permissions(other.path() / "target", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(other.path() / "target", folder.path() / "second");
  fs::create_symlink("second", folder.path() / "first");
  write_file_atomically(folder.path() / "first", "new");
  EXPECT_EQ(fs::read_symlink(folder.path() / "first"), "second");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "second"));
  EXPECT_EQ(read_text_file(other.path() / "target"), "new");
  EXPECT_EQ(fs::status(other.path() / "target").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("made", folder.path() / "to nothing");
  write_file_atomically(folder.path() / "to nothing", "x");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "to nothing"));
  EXPECT_EQ(read_text_file(folder.path() / "made"), "x");
  fs::create_symlink("circle", folder.path() / "circle");
  expect_fault<IoError>("circle: cannot inspect: Too many levels",
                        [&] { write_file_atomically(folder.path() / "circle", "x"); });
  EXPECT_EQ(std::distance(fs::directory_iterator(other.path()), {}), 1);
}

TEST(TextFile, WhatIsNoFileIsLeftAsItIs) {
  const test::TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto fault = [](const fs::path& path, const std::string& what) {
    expect_fault<IoError>(path.string() + ": is " + what + ", and a file is to be written (give the name of a file)",
                          [&] { write_file_atomically(path, "x"); });
  };
  fault(pipe, "a pipe");
  fault(folder.path(), "a folder");
  fault("/dev/full", "a device or a socket");
  fs::create_symlink(pipe, folder.path() / "link");
  fault(folder.path() / "link", "a pipe");
  EXPECT_EQ(fs::status(pipe).type(), fs::file_type::fifo);
  EXPECT_EQ(fs::status("/dev/full").type(), fs::file_type::character);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 2);
}

TEST(TextFile, WhatTheProgramPrintsToIsNotReplaced) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "log";
  test::write_bytes(path, "");
  const auto body = [&] {
    if (std::freopen(path.c_str(), "a", stdout) == nullptr) std::_Exit(3);
    for (const fs::path& name : {path, fs::path("/proc/self/fd/1")}) {
      try {
        write_file_atomically(name, "x");
        std::_Exit(4);
      } catch (const IoError& error) {
        std::cerr << error.what() << '\n';
      }
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "log: is what this program prints to.*\n.*fd/1: is what this");
}

TEST(FolderWriter, AppearsWholeOrNotAtAll) {
  const test::TemporaryFolder folder;
  const auto final_path = folder.path() / "runs" / "checkpoint-1/";
  {
    FolderWriter writer(final_path);
    EXPECT_NE(writer.path().string().find("checkpoint-1.partial-"), std::string::npos);
    fs::create_directory(writer.path() / "inner");
    test::write_bytes(writer.path() / "inner/x", "content");
    EXPECT_FALSE(fs::exists(final_path));
    writer.commit();
    EXPECT_FALSE(fs::exists(writer.path()));
  }
  EXPECT_TRUE(is_complete(final_path));
  EXPECT_EQ(read_text_file(final_path / "inner/x"), "content");
  expect_fault<IoError>("exists already", [&] { FolderWriter again(final_path); });
  remove_folder(final_path);
  EXPECT_FALSE(fs::exists(final_path));
  remove_folder(final_path);
}

TEST(FolderWriter, IsRemovedWithoutCommit) {
  const test::TemporaryFolder folder;
  {
    FolderWriter writer(folder.path() / "c");
    test::write_bytes(writer.path() / "x", "content");
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(FolderWriter, DoesNotReplaceAFolderThatCameMeanwhile) {
  const test::TemporaryFolder folder;
  FolderWriter writer(folder.path() / "c");
  fs::create_directory(folder.path() / "c");
  EXPECT_THROW(writer.commit(), IoError);
  EXPECT_FALSE(is_complete(folder.path() / "c"));
}

TEST(FolderWriter, FoldersCutShortAreNotComplete) {
  const test::TemporaryFolder folder;
  EXPECT_FALSE(is_complete(folder.path() / "absent"));
  fs::create_directory(folder.path() / "c");
  EXPECT_FALSE(is_complete(folder.path() / "c"));
  fs::create_directory(folder.path() / "c.partial-1");
  test::write_bytes(folder.path() / "c.partial-1/DONE", "");
  EXPECT_FALSE(is_complete(folder.path() / "c.partial-1"));
  EXPECT_FALSE(is_complete(folder.path() / "c.partial-1/"));
}

TEST(FolderWriter, RemovalRefusesFilesAndLinks) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder.path() / "c");
  test::write_bytes(folder.path() / "c/DONE", "");
  fs::create_directory_symlink(folder.path() / "c", folder.path() / "link");
  expect_fault<IoError>("link: expected a folder", [&] { remove_folder(folder.path() / "link"); });
  EXPECT_TRUE(is_complete(folder.path() / "c"));
}

class ModelDirectory : public testing::Test {
 protected:
  ModelDirectory() { fs::copy(test::golden_dir() / "io/sharded", folder_.path(), fs::copy_options::recursive); }

  void write_index(const std::string& weight_map) {
    test::write_bytes(folder_.path() / "model.safetensors.index.json", "{\"weight_map\":" + weight_map + "}");
  }

  void expect_refused(const std::string& weight_map, std::string_view fault) {
    write_index(weight_map);
    expect_fault<FormatError>(fault, [&] { const ModelFiles files(folder_.path()); });
  }

  const std::string first_ = "\"model-00001-of-00002.safetensors\"";
  const std::string second_ = "\"model-00002-of-00002.safetensors\"";
  test::TemporaryFolder folder_;
};

TEST_F(ModelDirectory, ReadsShards) {
  const ModelFiles files(folder_.path());
  EXPECT_EQ(files.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(files.tensor("a").dtype, DType::bfloat16);
  EXPECT_EQ(files.tensor("c").shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(files.where("c").filename(), "model-00002-of-00002.safetensors");
  EXPECT_TRUE(files.contains("b"));
  EXPECT_FALSE(files.contains("d"));
  expect_fault<FormatError>("no tensor \"d\"", [&] { files.tensor("d"); });
}

TEST_F(ModelDirectory, ReadsASingleFile) {
  fs::copy(test::golden_dir() / "io/metadata.safetensors", folder_.path() / "model.safetensors");
  const ModelFiles files(folder_.path());
  EXPECT_EQ(files.names(), std::vector<std::string>{"a"});
}

TEST_F(ModelDirectory, RefusesAnIndexThatDisagrees) {
  expect_refused(str("{\"a\":", first_, ",\"b\":", first_, ",\"c\":", second_, ",\"d\":", second_, "}"),
                 "tensor \"d\" is not in");
  expect_refused(str("{\"a\":", first_, ",\"c\":", second_, "}"), "tensor \"b\" of model-00001");
  expect_refused(str("{\"a\":", first_, ",\"b\":", second_, ",\"c\":", second_, "}"), "tensor \"b\" is not in");
  expect_refused("{\"a\":3}", "expected a string");
  expect_refused("[]", "expected an object");
}

TEST_F(ModelDirectory, RefusesShardsOutside) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "..", ".", "", "a/b.safetensors", "a\\u0000b", "a\\nb"}) {
    expect_refused(str("{\"a\":\"", name, "\"}"), "not a plain file name");
  }
  write_index("{\"a\":\"absent.safetensors\"}");
  EXPECT_THROW(ModelFiles{folder_.path()}, IoError);
}

TEST_F(ModelDirectory, NamesADirectoryWithoutWeights) {
  expect_fault<IoError>("neither model.safetensors nor", [&] { const ModelFiles files(folder_.path() / "none"); });
}

}  // namespace
}  // namespace shine
