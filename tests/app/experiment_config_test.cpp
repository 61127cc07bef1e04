// Reading a configuration, and writing it out again.
#include "app/experiment_files.h"
#include "config/config_io.h"

namespace shine::test {
namespace {

using ExperimentConfigFile = ExperimentFiles;

TEST_F(ExperimentConfigFile, TokenizerIsTheModelsUnlessGiven) {
  EXPECT_EQ(load(kPretrain).text.tokenizer, "m");
  EXPECT_EQ(load(kPretrain, {"text.tokenizer=t"}).text.tokenizer, "t");
}

TEST_F(ExperimentConfigFile, TheDataSetsNameIsThatOfTheFilesBesideWhichItIsSet) {
  const std::string evaluation = "evaluation: {data: [squad.jsonl], data_set: squad}\n";
  EXPECT_EQ(load(kPretrain + evaluation).evaluation.data_set, "squad");
  EXPECT_EQ(load(kPretrain + evaluation, {"evaluation.limit=5"}).evaluation.data_set, "squad");
  EXPECT_EQ(load(kPretrain + evaluation, {"evaluation.data=[mine.jsonl]"}).evaluation.data_set, "");
  EXPECT_EQ(
      load(kPretrain + evaluation, {"evaluation.data=[mine.jsonl]", "evaluation.data_set=own"}).evaluation.data_set,
      "own");
  EXPECT_EQ(load(kPretrain + evaluation, {"evaluation.data_set=v1"}).evaluation.data_set, "v1");
  write(kPretrain + evaluation, "base.yaml");
  EXPECT_EQ(load("base: base.yaml\nrun: {seed: 3}\n").evaluation.data_set, "squad");
  EXPECT_EQ(load("base: base.yaml\nevaluation: {data: [mine.jsonl]}\n").evaluation.data_set, "");
}

TEST_F(ExperimentConfigFile, WhatIsUsualForOverLongDataHasOneSpelling) {
  const auto over_long = [&](const char* text, const std::vector<std::string>& overrides = {}) {
    return load(text, overrides).data.over_long;
  };
  for (const char* usual : {"auto", "cut"}) {
    EXPECT_EQ(over_long(kPretrain, {std::string("data.over_long=") + usual}), OverLong::automatic) << usual;
  }
  for (const char* usual : {"auto", "drop"}) {
    EXPECT_EQ(over_long(kMqa, {std::string("data.over_long=") + usual}), OverLong::automatic) << usual;
    EXPECT_EQ(
        over_long(kBackbone, {"data.form=questions", "data.train=[a.jsonl]", std::string("data.over_long=") + usual}),
        OverLong::automatic);
  }
  EXPECT_EQ(
      fault(kPretrain, {"data.over_long=drop"}),
      "override `data.over_long=drop`: `data.over_long` is drop, which is for questions: stage pretrain cuts long "
      "texts or splits them (set split)");
  EXPECT_EQ(over_long(kPretrain, {"data.over_long=split"}), OverLong::split);
  EXPECT_EQ(over_long(kMqa, {"data.over_long=cut"}), OverLong::cut);
}

TEST_F(ExperimentConfigFile, AFileThatIsNotThereSaysWhatToDo) {
  try {
    load_experiment_config(folder_.path() / "qwen3-4b/pretrain.yaml");
    ADD_FAILURE() << "was read";
  } catch (const IoError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("qwen3-4b/pretrain.yaml: no such file (correct the path; for a model without configurations "
                           "copy those of another one"),
              std::string::npos)
        << message;
  }
}

TEST_F(ExperimentConfigFile, ResolvedFileReadsBackToTheSame) {
  const std::vector<std::vector<std::string>> cases = {
      {},
      {"hypernetwork.m2p.kind=lineargate", "hypernetwork.m2p.linear_bias=true", "optimizer.clip=none"},
      {"hypernetwork.m2p.couple_layers=1", "hypernetwork.m2p.couple_heads=2", "hypernetwork.m2p.couple_width=64"},
      {"data.validation=[v.txt]", "data.separator='= ='", "logging.level=error", "model.dtype=auto"},
      {"data.validation_share=0", "stage.completion_frequency=0", "stage.adapter_reg=1e-9", "run.device=cuda:1"},
  };
  for (const auto& overrides : cases) {
    const ExperimentConfig config = load(kPretrain, overrides);
    EXPECT_EQ(load(experiment_yaml(config)), config) << experiment_yaml(config);
  }
  const ExperimentConfig config = load(kBackbone, {"stage.repeat_share=0.5", "data.separator=\"\\t\\n\""});
  EXPECT_EQ(load(experiment_yaml(config)), config);
  EXPECT_EQ(experiment_yaml(config).find("hypernetwork"), std::string::npos);
}

TEST_F(ExperimentConfigFile, GivesThePlacesOfKeys) {
  ConfigOrigins origins;
  const std::string file = write(kPretrain);
  load_experiment_config(file, {"run.seed=1"}, &origins);
  EXPECT_EQ(origins.place("data.train"), file + ":2");
  EXPECT_EQ(origins.place("run.seed"), "override `run.seed=1`");
}

TEST_F(ExperimentConfigFile, FaultsOfReadingAndOfRulesAreListedTogether) {
  EXPECT_EQ(fault("model: {pth: m}\nstage: {completion_drop_min: 0.9}\nschedule: {epochs: 0}\n"),
            "4 faults in x.yaml:\n"
            "  x.yaml:1: unknown key `pth`: did you mean `path`?\n"
            "  x.yaml:3: `schedule.epochs`: expected an integer at least 1, found `0`\n"
            "  x.yaml: `data.train` is missing: list at least one .txt or .jsonl file\n"
            "  x.yaml:2: `stage.completion_drop_min` is 0.9, above `stage.completion_drop_max`, 0.3");
}

TEST_F(ExperimentConfigFile, AKeyInNoGroupIsTakenForThatOfTraining) {
  EXPECT_EQ(fault(std::string(kPretrain) + "learning_rate: 1e-4\n"),
            "x.yaml:3: unknown key `learning_rate` at the top level: did you mean `optimizer.learning_rate`?");
  EXPECT_EQ(fault(std::string(kPretrain) + "epochs: 2\n"),
            "x.yaml:3: unknown key `epochs` at the top level: did you mean `schedule.epochs`?");
}

TEST_F(ExperimentConfigFile, AMisspeltStageRaisesNoFaultsOfTheOtherStage) {
  EXPECT_EQ(fault("stage: {name: backbon}\nmodel: {config: c}\ndata: {train: [a.txt]}\n"),
            "x.yaml:1: `stage.name`: expected one of pretrain, ift_mqa, ift_1qa, backbone, found `backbon`");
}

TEST_F(ExperimentConfigFile, ValidateChecksAConfigMadeInCode) {
  ExperimentConfig config;
  config.model.path = "m";
  config.data.train = {"a.txt"};
  EXPECT_NO_THROW(config.validate());
  config.hypernetwork.m2p.linear_bias = true;
  EXPECT_EQ(fault_of<ConfigError>([&] { config.validate(); }),
            "`hypernetwork.m2p.linear_bias` has no effect with hypernetwork.m2p.kind transformer (remove it)");
}

}  // namespace
}  // namespace shine::test
