// scripts/plot_metrics.py: what it refuses, and a PNG where matplotlib is there (scripts/tools_env.sh).
#include <gtest/gtest.h>

#include "integration/run_program.h"

namespace shine::test {
namespace {

constexpr const char* kEvents =
    R"({"kind": "train", "step": 1, "loss": 2.5, "learning_rate": 0.001}
{"kind": "train", "step": 2, "loss": null, "learning_rate": 0.0005}
{"kind": "validation", "step": 2, "set": "no LoRA", "loss": 3.0}
{"kind": "diagnostics", "step": 2, "mean_cosine": 0.5, "mean_share": 0.6}
)";

Outcome plot(const std::string& python, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {python, "scripts/plot_metrics.py"});
  return run_command(arguments);
}

TEST(PlotMetrics, DrawsSeveralRunsIntoOnePicture) {
  const std::string python = (source_dir() / ".venv-tools/bin/python").string();
  if (!std::filesystem::exists(python) || run_command({python, "-c", "import matplotlib"}).status != 0) {
    GTEST_SKIP() << "no matplotlib in .venv-tools (scripts/tools_env.sh plot)";
  }
  const TemporaryFolder folder;
  folder.write("a/metrics.jsonl", kEvents);
  folder.write("b/metrics.jsonl", std::string(kEvents) + R"({"kind": "tra)");
  const std::string picture = (folder.path() / "m.png").string();
  const Outcome drawn =
      plot(python, {(folder.path() / "a").string(), (folder.path() / "b").string(), "--output", picture});
  ASSERT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(drawn.out, picture + ": 4 panels of 2 runs\n");
  EXPECT_TRUE(read_bytes(picture).starts_with("\x89PNG"));

  folder.write("c/metrics.jsonl", std::string("x\n") + kEvents);
  const Outcome broken = plot(python, {(folder.path() / "c").string()});
  EXPECT_EQ(broken.status, 1);
  EXPECT_EQ(folder.shorten(broken.err), "plot_metrics: error: c/metrics.jsonl:1: no event of a run\n");
  const Outcome absent = plot(python, {(folder.path() / "none").string()});
  EXPECT_EQ(absent.status, 1);
  EXPECT_TRUE(absent.err.starts_with("plot_metrics: error: ")) << absent.err;
}

}  // namespace
}  // namespace shine::test
