// The program shine_convert: seen by PyTorch itself, and its memory.
#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/convert_checkpoint.h"
#include "checkpoint/published_checkpoint.h"
#include "checkpoint/published_fixtures.h"
#include "integration/answers.h"
#include "io/files/mapped_file.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A Python that has torch: $SHINE_PYTHON, else that of .venv, else the system's.
std::optional<std::string> python_with_torch() {
  const char* const named = std::getenv("SHINE_PYTHON");
  for (const std::string& python : {named == nullptr ? std::string() : std::string(named),
                                    (source_dir() / ".venv/bin/python").string(), std::string("python3")}) {
    if (!python.empty() && run_command({python, "-c", "import torch"}).status == 0) return python;
  }
  return std::nullopt;
}

/// Highest resident set since the process started or the mark was reset, in bytes.
std::size_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

TEST(Convert, AnswersAsEveryProgram) {
  expect_usual_answers("shine_convert");
}

TEST(Convert, PrintsFilesAndFaultsAsLines) {
  const TemporaryFolder folder;
  const std::string from = (golden_dir() / "fixtures/base_0/checkpoint").string();
  const std::string to = (folder.path() / "ours").string();
  const Outcome made = run_program("shine_convert", {from, to});
  EXPECT_EQ(made.status, 0) << made.err;
  const std::vector<std::string> lines = lines_of(made.out);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back().find(to + ": our layout, step 0, "), 0U) << made.out;
  EXPECT_NE(made.out.find("trained.safetensors"), std::string::npos) << made.out;
  const Outcome again = run_program("shine_convert", {from, to});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(again.err, "shine_convert: error: " + to + ": exists already (remove it or choose another name)\n");
  const Outcome wrong = run_program("shine_convert", {to, to + "2", "--to", "ours"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("in that layout already"), std::string::npos) << wrong.err;
}

TEST(Convert, PyTorchSeesNoDifference) {
  const auto python = python_with_torch();
  if (!python) GTEST_SKIP() << "no Python with torch; scripts/setup.sh makes one";
  const TemporaryFolder folder;
  std::vector<std::string> comparison{*python, (source_dir() / "scripts/fixtures/check_published.py").string()};
  const std::vector<fs::path> fixtures = published_fixtures();
  for (const fs::path& original : fixtures) {
    SCOPED_TRACE(original);
    const fs::path ours = folder.path() / original.parent_path().filename();
    const fs::path published = ours.string() + "-published";
    ASSERT_EQ(run_program("shine_convert", {original.string(), ours.string()}).status, 0);
    ASSERT_EQ(run_program("shine_convert", {ours.string(), published.string()}).status, 0);
    comparison.insert(comparison.end(), {original.string(), published.string()});
  }
  const Outcome compared = run_command(comparison);
  EXPECT_EQ(compared.status, 0) << compared.out << compared.err;
  std::size_t networks = 0;
  for (const std::string& line : lines_of(compared.out)) networks += line.starts_with("metanetwork.pth: ");
  EXPECT_EQ(networks, fixtures.size()) << compared.out;

  comparison.resize(2);
  comparison.insert(comparison.end(), {fixtures[0].string(), fixtures[1].string()});
  EXPECT_EQ(run_command(comparison).status, 1) << "the comparison sees no difference where there is one";
}

TEST(Convert, MemoryDoesNotGrowWithTheTensors) {
  constexpr std::size_t bytes = std::size_t{192} << 20, allowed = std::size_t{64} << 20;
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "zeros");
  fs::resize_file(folder.path() / "zeros", bytes);
  CheckpointContents contents;
  const RawTensorDict weights = read_published_checkpoint(golden_dir() / "fixtures/base_0/checkpoint");
  contents.weights.assign(weights.begin(), weights.end());
  const auto zeros = std::make_shared<const MappedFile>(folder.path() / "zeros");
  for (auto& [name, tensor] : contents.weights) {
    if (name != "mem_tokens") continue;
    tensor = {DType::float32, {bytes / 4}, zeros->data(), bytes, zeros, true};
  }
  std::ofstream("/proc/self/clear_refs") << 5;  // resets the high-water mark
  const std::size_t before = peak_resident_bytes();
  save_checkpoint(folder.path() / "ours", contents);
  convert_checkpoint(folder.path() / "ours", folder.path() / "published");
  convert_checkpoint(folder.path() / "published", folder.path() / "back");
  EXPECT_LT(peak_resident_bytes(), before + allowed);
  EXPECT_GT(fs::file_size(folder.path() / "back/trained.safetensors"), bytes);
}

}  // namespace
}  // namespace shine::test
