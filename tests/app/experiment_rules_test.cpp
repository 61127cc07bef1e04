// What a stage or a test needs, and rules between keys.
#include "app/experiment_files.h"

namespace shine::test {
namespace {

using ExperimentRules = ExperimentFiles;

TEST_F(ExperimentRules, StagePretrainNeedsAModelAndData) {
  EXPECT_EQ(fault("run: {seed: 1}\n"),
            "2 faults in x.yaml:\n"
            "  x.yaml: `model.path` is missing: stage pretrain needs the Hugging Face directory of a backbone\n"
            "  x.yaml: `data.train` is missing: list at least one .txt or .jsonl file");
}

TEST_F(ExperimentRules, StageBackboneNeedsAConfigAndATokenizer) {
  EXPECT_EQ(fault("stage:\n  name: backbone\ndata: {train: [a.txt]}\n"),
            "2 faults in x.yaml:\n"
            "  x.yaml:2: `model.config` is missing: stage backbone needs a config.json to make weights from\n"
            "  x.yaml:2: `text.tokenizer` is missing: stage backbone has no model.path to take it from");
  EXPECT_EQ(fault(kBackbone, {"model.path=m"}),
            "override `model.path=m`: `model.path` has no effect with stage backbone (remove it)");
  EXPECT_EQ(fault(kBackbone, {"model.dtype=auto"}),
            "override `model.dtype=auto`: `model.dtype` is auto, but stage backbone trains the weights: only float32");
  EXPECT_EQ(fault(kBackbone, {"model.dtype=bfloat16"}),
            "override `model.dtype=bfloat16`: `model.dtype` is bfloat16, but stage backbone trains the weights: only "
            "float32");
  EXPECT_EQ(fault(kPretrain, {"model.dtype=bfloat16"}), "");
}

TEST_F(ExperimentRules, InstructionTuningNeedsAModelWeightsToStartFromAndQuestions) {
  EXPECT_EQ(fault("stage:\n  name: ift_1qa\n"),
            "3 faults in x.yaml:\n"
            "  x.yaml:2: `model.path` is missing: stage ift_1qa needs the Hugging Face directory of a backbone\n"
            "  x.yaml:2: `stage.init_from` is missing: stage ift_1qa goes on from an earlier stage's run or checkpoint "
            "(or set stage.from_scratch: true)\n"
            "  x.yaml: `data.train` is missing: list at least one .jsonl file");
  EXPECT_EQ(fault(kMqa), "");
  EXPECT_EQ(fault(kMqa, {"stage.init_from=null", "stage.from_scratch=true"}), "");
  EXPECT_EQ(fault(kMqa, {"stage.from_scratch=true"}),
            "override `stage.from_scratch=true`: `stage.from_scratch` is set beside `stage.init_from` (remove one)");
  EXPECT_EQ(
      fault(kMqa, {"stage.meta_lora_from=a"}),
      "override `stage.meta_lora_from=a`: `stage.meta_lora_from` is for new weights, and `stage.init_from` brings "
      "a Meta-LoRA (remove one)");
  EXPECT_EQ(fault(kMqa, {"stage.init_from=null", "stage.from_scratch=true", "stage.meta_lora_from=a"}), "");
  EXPECT_EQ(fault(kMqa, {"data.train=[a.txt]"}),
            "override `data.train=[a.txt]`: `data.train` lists `a.txt`, which is no file of questions (use .jsonl; "
            "shine_prepare qa makes it)");
  EXPECT_EQ(fault(kMqa, {"stage.extra_meta_lora_rank=-2"}),
            "override `stage.extra_meta_lora_rank=-2`: `stage.extra_meta_lora_rank`: expected an integer at least -1, "
            "found `-2`");
}

TEST_F(ExperimentRules, ATestNeedsAModelAndItsDataAlone) {
  const auto test_fault = [&](const std::string& text) { return fault(text, {}, ConfigUse::test); };
  EXPECT_EQ(test_fault("model: {path: m}\nevaluation: {data: [q.jsonl]}\n"), "");
  EXPECT_NE(test_fault("model: {path: m}\n").find("`evaluation.data` is missing"), std::string::npos);
  EXPECT_NE(test_fault("evaluation: {data: [q.jsonl]}\n").find("`model.path` is missing"), std::string::npos);
  EXPECT_NE(test_fault(std::string(kBackbone) + "evaluation: {data: [q.jsonl]}\n").find("`stage.name` is backbone"),
            std::string::npos);
  EXPECT_NE(
      test_fault("model: {path: m}\nevaluation: {data: [q.jsonl], baselines: [best]}\n").find("naive, in_context"),
      std::string::npos);
  EXPECT_NE(fault("model: {path: m}\nevaluation: {data: [q.jsonl]}\n").find("`data.train` is missing"),
            std::string::npos);
}

TEST_F(ExperimentRules, QuestionsFromACommandLineNeedAModelAlone) {
  const auto model_fault = [&](const std::string& text) { return fault(text, {}, ConfigUse::model); };
  EXPECT_EQ(model_fault("model: {path: m}\n"), "");
  EXPECT_NE(model_fault("run: {dir: r}\n").find("`model.path` is missing"), std::string::npos);
  EXPECT_NE(model_fault(kBackbone).find("`stage.name` is backbone: its YAML names no model to ask"), std::string::npos);
}

TEST_F(ExperimentRules, DataFilesAreTextOrJsonLines) {
  EXPECT_EQ(fault("model: {path: m}\ndata:\n  train: [a.txt, b.json]\n  validation: [v.csv]\n"),
            "2 faults in x.yaml:\n"
            "  x.yaml:3: `data.train` lists `b.json`, an unknown kind of texts (use .txt or .jsonl)\n"
            "  x.yaml:4: `data.validation` lists `v.csv`, an unknown kind of texts (use .txt or .jsonl)");
  EXPECT_EQ(fault(kPretrain, {"data.train=[a.txt, d.x/b.jsonl]", "data.validation=[v.txt]"}), "");
}

TEST_F(ExperimentRules, TheDataSetsNameIsPartOfAPath) {
  EXPECT_EQ(fault(kPretrain, {"evaluation.data_set=squad v1.1"}), "");
  EXPECT_NE(fault(kPretrain, {"evaluation.data_set=../squad"}).find("evaluation.data_set"), std::string::npos);
}

TEST_F(ExperimentRules, RulesBetweenKeys) {
  EXPECT_EQ(fault(kPretrain, {"stage.completion_drop_min=0.5"}),
            "override `stage.completion_drop_min=0.5`: `stage.completion_drop_min` is 0.5, above "
            "`stage.completion_drop_max`, 0.3");
  EXPECT_EQ(fault(kPretrain, {"hypernetwork.m2p.couple_layers=1", "hypernetwork.m2p.couple_heads=3",
                              "hypernetwork.m2p.couple_width=64"}),
            "override `hypernetwork.m2p.couple_heads=3`: `hypernetwork.m2p.couple_heads` is 3, which does not divide "
            "`couple_width`, 64");
  EXPECT_EQ(fault(kPretrain, {"data.validation=[b.txt, a.jsonl]"}),
            "override `data.validation=[b.txt, a.jsonl]`: `data.validation` and `data.train` both list `a.jsonl`: "
            "validation texts must not be trained on");
  EXPECT_EQ(fault(kPretrain, {"run.dir="}), "override `run.dir=`: `run.dir` is empty: the run needs a folder");
}

}  // namespace
}  // namespace shine::test
