#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shine/app/experiment_config.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {

/// The shortest configuration of a stage.
inline constexpr const char* kPretrain = "model: {path: m}\ndata: {train: [a.jsonl]}\n";
inline constexpr const char* kMqa =
    "model: {path: m}\nstage: {name: ift_mqa, init_from: runs/first}\ndata: {train: [a.jsonl]}\n";
inline constexpr const char* kBackbone =
    "stage: {name: backbone}\nmodel: {config: c.json}\ntext: {tokenizer: t}\ndata: {train: [a.txt]}\n";

/// Configurations read from files of a folder.
class ExperimentFiles : public testing::Test {
 protected:
  std::string write(const std::string& text, const std::string& name = "x.yaml") const {
    return folder_.write(name, text);
  }

  ExperimentConfig load(const std::string& text, const std::vector<std::string>& overrides = {},
                        ConfigUse use = ConfigUse::train) const {
    return load_experiment_config(write(text), overrides, nullptr, use);
  }

  /// The message of `load`, without the folder; empty where it throws none.
  std::string fault(const std::string& text, const std::vector<std::string>& overrides = {},
                    ConfigUse use = ConfigUse::train) const {
    return folder_.shorten(fault_of<ConfigError>([&] { load(text, overrides, use); }));
  }

  TemporaryFolder folder_;
};

}  // namespace shine::test
