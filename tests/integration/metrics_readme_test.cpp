// tools/README.md names every key that runs write to metrics.jsonl.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

using nlohmann::json;

/// Keys of an event, those of inner objects too, and the values of `kind` and `set`.
void collect_names(const json& event, std::set<std::string>& names) {
  for (const auto& [key, value] : event.items()) {
    names.insert(key);
    if (value.is_object()) collect_names(value, names);
    if (key == "kind" || key == "set") names.insert(value.get<std::string>());
  }
}

TEST(MetricsReadme, NamesWhatRunsWrite) {
  const TinyRun tiny;
  const Outcome backbone = tiny.train_backbone();
  ASSERT_EQ(backbone.status, 0) << backbone.err;
  const Outcome pretrain = tiny.train("pretrain.yaml", {"run.max_steps=2", "stage.adapter_reg=1e-3"});
  ASSERT_EQ(pretrain.status, 0) << pretrain.err;
  std::set<std::string> names;
  for (const char* run : {"backbone", "run"}) {
    for (const std::string& line : lines_of(read_bytes(tiny.folder() / run / "metrics.jsonl"))) {
      collect_names(json::parse(line), names);
    }
    EXPECT_TRUE(std::filesystem::exists(tiny.folder() / run / "tensorboard"));
  }
  EXPECT_GE(names.size(), 30U);
  const std::string page = read_bytes(source_dir() / "tools" / "README.md");
  const std::size_t begin = page.find("\n## The run folder\n");
  const std::size_t end = page.find("\n## Comparing two runs\n");
  ASSERT_LT(begin, end);
  const std::string section = page.substr(begin, end - begin);
  for (const std::string& name : names) {
    EXPECT_NE(section.find("`" + name + "`"), std::string::npos) << name << " is not in tools/README.md";
  }
  for (const auto& entry : std::filesystem::directory_iterator(tiny.folder() / "run")) {
    const std::string name = entry.path().filename().string();
    EXPECT_NE(section.find("| `" + name), std::string::npos) << name << " is not in tools/README.md";
  }
}

}  // namespace
}  // namespace shine::test
