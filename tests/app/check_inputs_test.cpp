// What the configuration names: files that are missing, and where they are to be had.
#include <gtest/gtest.h>

#include <fstream>

#include "shine/app/experiment_config.h"
#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class CheckInputs : public testing::Test {
 protected:
  CheckInputs() {
    for (const char* name : {"model/config.json", "model/tokenizer.json", "a.txt"}) write(name);
    config_.model.path = file("model");
    config_.text.tokenizer = file("model");
    config_.data.train = {file("a.txt")};
    config_.run.dir = file("runs/new");
  }

  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  void write(const std::string& name) const {
    fs::create_directories(fs::path(file(name)).parent_path());
    std::ofstream(file(name)) << "{}";
  }

  template <class Check>
  std::string fault_of(const Check& check) const {
    try {
      check(config_);
    } catch (const ConfigError& error) {
      std::string message = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (std::size_t at = 0; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
      return message;
    }
    return "";
  }

  TemporaryFolder folder_;
  ExperimentConfig config_;
};

TEST_F(CheckInputs, ABackboneThatIsNotThereSaysWhichFilesItNeedsAndWhereTheyAre) {
  EXPECT_EQ(fault_of(check_inputs), "");
  config_.model.path = file("Qwen3-4B") + "/";
  config_.text.tokenizer = config_.model.path;
  const std::string needed =
      " (needed: config.json, tokenizer.json or tokenizer.model, and the weights, *.safetensors, as in the model's "
      "repository at huggingface.co: `hf download Qwen/";
  for (const auto check : {check_inputs, check_backbone}) {
    EXPECT_EQ(fault_of(check), "model.path: no such file or folder: Qwen3-4B/" + needed +
                                   "Qwen3-4B --local-dir Qwen3-4B/`, or name a folder that holds them; a relative path "
                                   "starts at the current folder)");
  }
  config_.model.path = file("Llama-3.2-1B-Instruct");
  EXPECT_NE(fault_of(check_backbone).find("`hf download meta-llama/Llama-3.2-1B-Instruct --local-dir Llama-3.2-1B"),
            std::string::npos);
  fs::create_directories(file("other"));
  config_.model.path = file("other");
  config_.text.tokenizer = file("model");
  config_.evaluation.data = {file("a.txt")};
  for (const auto check : {check_inputs, check_test_inputs, check_model_inputs}) {
    EXPECT_EQ(fault_of(check).find("model.path: no config.json in other" + needed + "Qwen3-0.6B --local-dir"), 0U)
        << fault_of(check);
  }
}

TEST_F(CheckInputs, FilesThatTrainingNeedsBesideConfigJsonAreListed) {
  EXPECT_EQ(missing_model_files(config_), std::vector<std::string>{"the weights (*.safetensors)"});
  write("model/model-00001-of-00002.safetensors");
  EXPECT_EQ(missing_model_files(config_), std::vector<std::string>{});
  config_.text.tokenizer = file("nowhere");
  EXPECT_EQ(missing_model_files(config_), std::vector<std::string>{"a tokenizer (tokenizer.json or tokenizer.model)"});
}

TEST_F(CheckInputs, EveryMissingFileIsNamed) {
  config_.data.train = {file("a.txt"), file("b.txt"), file("model")};
  config_.data.validation = {file("c.txt")};
  config_.stage.init_from = file("before");
  const std::string cure = " (correct the path; a relative one starts at the current folder)";
  EXPECT_EQ(fault_of(check_inputs),
            "4 faults in the paths:\n"
            "  stage.init_from: no such file or folder: before" +
                cure + "\n  data.train: no such file or folder: b.txt" + cure +
                "\n  data.train: not a file: model (name .txt or .jsonl files)\n"
                "  data.validation: no such file or folder: c.txt" +
                cure);
}

TEST_F(CheckInputs, TheRunsFolderMustBeOneThatCanBeMade) {
  EXPECT_EQ(fault_of(check_run_place), "");
  EXPECT_FALSE(fs::exists(file("runs"))) << "nothing is made";
  config_.run.dir = file("a.txt");
  EXPECT_EQ(fault_of(check_run_place), "run.dir a.txt: a.txt is no folder (choose another run.dir)");
  config_.run.dir = file("a.txt") + "/below/it";
  EXPECT_EQ(fault_of(check_run_place), "run.dir a.txt/below/it: a.txt is no folder (choose another run.dir)");
  fs::create_symlink(file("gone"), file("link"));
  config_.run.dir = file("link") + "/run";
  EXPECT_EQ(fault_of(check_run_place), "run.dir link/run: link is no folder (choose another run.dir)");
  config_.run.dir = "a-new-folder-here";
  EXPECT_EQ(fault_of(check_run_place), "");
}

}  // namespace
}  // namespace shine::test
