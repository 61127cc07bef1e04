#include "shine/app/experiment_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "config/config_io.h"
#include "config/field_value.h"
#include "config/yaml_tree.h"
#include "shine/common/error.h"
#include "shine/common/str.h"
#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPretrain = "model: {path: m}\ndata: {train: [a.jsonl]}\n";
constexpr const char* kMqa =
    "model: {path: m}\nstage: {name: ift_mqa, init_from: runs/first}\ndata: {train: [a.jsonl]}\n";
constexpr const char* kBackbone =
    "stage: {name: backbone}\nmodel: {config: c.json}\ntext: {tokenizer: t}\ndata: {train: [a.txt]}\n";

class ExperimentConfigTest : public testing::Test {
 protected:
  std::string write(const std::string& text, const std::string& name = "x.yaml") const {
    const fs::path file = folder_.path() / name;
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }

  ExperimentConfig load(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    return load_experiment_config(write(text), overrides);
  }

  std::string fault(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    try {
      load(text, overrides);
    } catch (const ConfigError& error) {
      std::string message = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (std::size_t at = 0; (at = message.find(prefix)) != std::string::npos;) message.erase(at, prefix.size());
      return message;
    }
    return "";
  }

  TemporaryFolder folder_;
};

std::string read_text(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

/// Where its value must stay: "run", "deterministic run", "test".
std::string fixed_in(const KeyTraits& traits) {
  std::vector<std::string> parts;
  if (traits.fixed_in_run(/*deterministic=*/true)) {
    parts.emplace_back(traits.fixed_in_run(/*deterministic=*/false) ? "run" : "deterministic run");
  }
  if (traits.fixed_in_test()) parts.emplace_back("test");
  return parts.empty() ? "" : "  fixed in " + join(parts, ", ");
}

TEST_F(ExperimentConfigTest, KeysTypesDefaultsLimitsAndWhatAResumeComparesArePinned) {
  ExperimentConfig config;
  std::string keys;
  for (const Field& field : fields_of(config).fields) {
    const std::string limits = field.constraint.text.empty() ? "" : ", " + field.constraint.text;
    keys +=
        str(field.path, " = ", field_value(field), " (", field_type(field), limits, ")", fixed_in(field.traits), "\n");
  }
  EXPECT_EQ(keys, read_text(golden_dir() / "config_keys.txt"));
}

TEST_F(ExperimentConfigTest, RulesOnUnusedKeysNameKeysAndValuesThatExist) {
  ExperimentConfig config;
  const FieldList list = fields_of(config);
  std::map<std::string, const Field*> keys;
  for (const Field& field : list.fields) keys[field.path] = &field;
  for (const auto& [path, field] : keys) {
    for (const UnusedRule& rule : field->traits.unused) {
      EXPECT_FALSE(rule.conditions.empty()) << path;
      for (const KeyCondition& condition : rule.conditions) {
        ASSERT_TRUE(keys.contains(condition.key)) << path << " names " << condition.key;
        EXPECT_NE(condition.key, path);
        for (const std::string& value : condition.values) {
          Faults faults;
          const YamlNode node = parse_yaml(value, {"rule"}, faults);
          EXPECT_EQ(read_field(*keys[condition.key], node), "") << path;
          EXPECT_TRUE(has_value(*keys[condition.key], value)) << path << ": " << value << " of " << condition.key;
        }
      }
    }
  }
}

TEST_F(ExperimentConfigTest, KeysOfEarlierVersionsAreFaultsThatNameTodaysKeys) {
  EXPECT_EQ(fault(kPretrain, {"evaluation.every_steps=5"}),
            "override `evaluation.every_steps=5`: `evaluation.every_steps` is now `validation.every_steps`");
  EXPECT_EQ(fault(str(kPretrain,
                      "hypernetwork:\n  method: rr\nevaluation:\n  max_samples: 5\n  at_start: false\n"
                      "  diagnostics: false\n")),
            "4 faults in x.yaml:\n"
            "  x.yaml:4: `hypernetwork.method` is now `hypernetwork.reshape`\n"
            "  x.yaml:6: `evaluation.max_samples` is now `validation.max_samples`\n"
            "  x.yaml:7: `evaluation.at_start` is now `validation.at_start`\n"
            "  x.yaml:8: `evaluation.diagnostics` is now `validation.diagnostics`");
}

TEST_F(ExperimentConfigTest, ConfigurationsThatEarlierVersionsSavedAreRead) {
  const std::string saved =
      str(kPretrain,
          "hypernetwork: {method: lr}\nevaluation: {every_steps: 7, max_samples: 5, at_start: false, diagnostics: "
          "false, seed: 3}\n");
  ExperimentConfig expected = load(kPretrain);
  expected.hypernetwork.reshape = LoraReshape::lr;
  expected.validation = {.every_steps = 7, .max_samples = 5, .at_start = false, .diagnostics = false};
  expected.evaluation.seed = 3;
  for (const std::string beside : {"checkpoints", "log.txt", "metrics.jsonl", "state.json", "test.json"}) {
    fs::create_directories(folder_.path() / beside);
    const fs::path file = write(saved, str(beside, "/config.yaml"));
    EXPECT_THROW(load_experiment_config(file), ConfigError) << "a user's file may have the same name";
    write("", str(beside, "/", beside));
    EXPECT_EQ(load_experiment_config(file), expected) << beside;
    EXPECT_EQ(load_experiment_config(file, {"validation.every_steps=9"}).validation.every_steps, 9);
    EXPECT_THROW(load_experiment_config(file, {"evaluation.every_steps=9"}), ConfigError);
  }
}

TEST_F(ExperimentConfigTest, TheDataSetsNameIsPartOfAPath) {
  EXPECT_EQ(fault(kPretrain, {"evaluation.data_set=squad v1.1"}), "");
  EXPECT_NE(fault(kPretrain, {"evaluation.data_set=../squad"}).find("evaluation.data_set"), std::string::npos);
}

TEST_F(ExperimentConfigTest, TheDataSetsNameIsThatOfTheFilesBesideWhichItIsSet) {
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

TEST_F(ExperimentConfigTest, OverLongTextsAreCutAndQuestionsDroppedUnlessToldOtherwise) {
  EXPECT_EQ(load(kPretrain).data.over_long, OverLong::cut);
  EXPECT_EQ(load(kPretrain, {"data.over_long=auto"}).data.over_long, OverLong::cut);
  EXPECT_EQ(load(kPretrain, {"data.over_long=split"}).data.over_long, OverLong::split);
  EXPECT_EQ(load(kMqa).data.over_long, OverLong::drop);
  EXPECT_EQ(load(kMqa, {"data.over_long=cut"}).data.over_long, OverLong::cut);
  EXPECT_EQ(load(kBackbone, {"data.form=questions", "data.train=[a.jsonl]"}).data.over_long, OverLong::drop);
}

TEST_F(ExperimentConfigTest, AFileThatIsNotThereSaysWhatToDo) {
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

TEST_F(ExperimentConfigTest, EveryKeyHasHelpInTheHelpText) {
  const std::string help = config_help<ExperimentConfig>();
  ExperimentConfig config;
  const FieldList list = fields_of(config);
  EXPECT_EQ(list.groups.size(), 18U);
  for (const FieldGroup& group : list.groups) EXPECT_NE(help.find(group.path + ": " + group.help), std::string::npos);
  for (const Field& field : list.fields) {
    EXPECT_GT(field.help.size(), 8U) << field.path;
    EXPECT_NE(help.find(field.help), std::string::npos) << field.path;
  }
}

TEST_F(ExperimentConfigTest, TokenizerIsTheModelsUnlessGiven) {
  EXPECT_EQ(load(kPretrain).text.tokenizer, "m");
  EXPECT_EQ(load(kPretrain, {"text.tokenizer=t"}).text.tokenizer, "t");
}

TEST_F(ExperimentConfigTest, ResolvedFileReadsBackToTheSame) {
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

TEST_F(ExperimentConfigTest, GivesThePlacesOfKeys) {
  ConfigOrigins origins;
  const std::string file = write(kPretrain);
  load_experiment_config(file, {"run.seed=1"}, &origins);
  EXPECT_EQ(origins.place("data.train"), file + ":2");
  EXPECT_EQ(origins.place("run.seed"), "override `run.seed=1`");
}

TEST_F(ExperimentConfigTest, StagePretrainNeedsAModelAndData) {
  EXPECT_EQ(fault("run: {seed: 1}\n"),
            "2 faults in x.yaml:\n"
            "  x.yaml: `model.path` is missing: stage pretrain needs the Hugging Face directory of a backbone\n"
            "  x.yaml: `data.train` is missing: list at least one .txt or .jsonl file");
}

TEST_F(ExperimentConfigTest, StageBackboneNeedsAConfigAndATokenizer) {
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

TEST_F(ExperimentConfigTest, InstructionTuningNeedsAModelWeightsToStartFromAndQuestions) {
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
  EXPECT_EQ(fault(kMqa, {"data.train=[a.txt]"}),
            "override `data.train=[a.txt]`: `data.train` lists `a.txt`, which is no file of questions (use .jsonl; "
            "shine_prepare qa makes it)");
  EXPECT_EQ(fault(kMqa, {"stage.extra_meta_lora_rank=-2"}),
            "override `stage.extra_meta_lora_rank=-2`: `stage.extra_meta_lora_rank`: expected an integer at least -1, "
            "found `-2`");
}

TEST_F(ExperimentConfigTest, AKeyWithoutEffectIsAFaultEvenAtItsDefault) {
  const auto unused = [&](const char* text, const std::vector<std::string>& overrides) {
    const std::string message = fault(text, overrides);
    const std::string last = overrides.back();
    const std::string start = str("override `", last, "`: `", last.substr(0, last.find('=')), "` has no effect ");
    return message.starts_with(start) ? message.substr(start.size()) : message;
  };
  EXPECT_EQ(unused(kBackbone, {"hypernetwork.lora_rank=8"}), "with stage backbone (remove it)");
  EXPECT_EQ(unused(kBackbone, {"hypernetwork.m2p.couple_width=8"}), "with stage backbone (remove it)");
  EXPECT_EQ(unused(kBackbone, {"stage.init_from=c"}), "with stage backbone (remove it)");
  EXPECT_EQ(unused(kPretrain, {"model.init_gain=0.7"}), "with stage pretrain (remove it)");
  EXPECT_EQ(unused(kPretrain, {"stage.repeat_share=0.1"}), "with stage pretrain (remove it)");
  EXPECT_EQ(unused(kBackbone, {"data.over_long=cut"}), "with data.form texts (remove it)");
  EXPECT_EQ(unused(kMqa, {"stage.completion_frequency=0.1"}), "with stage ift_mqa (remove it)");
  EXPECT_EQ(unused(kMqa, {"data.open_groups=5"}), "with stage ift_mqa (remove it)");
  EXPECT_EQ(unused(kBackbone, {"data.check_overlap=false"}), "with data.form texts (remove it)");
  EXPECT_EQ(unused(kBackbone, {"data.form=questions", "data.train=[a.jsonl]", "data.separator=x"}),
            "with data.form questions (remove it)");
  EXPECT_EQ(unused(kPretrain, {"hypernetwork.m2p.linear_hidden=4"}),
            "with hypernetwork.m2p.kind transformer (remove it)");
  EXPECT_EQ(unused(kPretrain, {"hypernetwork.m2p.kind=linear", "hypernetwork.m2p.couple_layers=1"}),
            "with hypernetwork.m2p.kind linear (remove it)");
  EXPECT_EQ(unused(kPretrain, {"hypernetwork.m2p.couple_width=64"}), "without couple layers (remove it)");
  EXPECT_EQ(unused(kPretrain, {"optimizer.clip=none", "optimizer.clip_norm=2"}), "with clip none (remove it)");
  EXPECT_EQ(unused(kPretrain, {"stage.completion_frequency=0", "stage.completion_drop_max=0.4"}),
            "with completion_frequency 0 (remove it)");
  EXPECT_EQ(unused(kPretrain, {"stage.adapter_reg_form=sum"}), "with adapter_reg 0 (remove it)");
  EXPECT_EQ(unused(kPretrain, {"data.validation=[v.txt]", "data.validation_share=0.1"}),
            "beside data.validation (remove it)");
  EXPECT_EQ(unused(kPretrain, {"data.validation_share=0", "validation.every_steps=10"}),
            "without validation texts (remove it)");
}

TEST_F(ExperimentConfigTest, AnOverrideMayTurnOffWhatTheFileSets) {
  struct Case {
    std::string extra;  ///< keys of the file
    std::string override_text;
    std::string reset;  ///< a key that goes back to its default
  };
  const std::vector<Case> cases = {
      {"optimizer: {clip_norm: 2}", "optimizer.clip=none", "optimizer.clip_norm"},
      {"stage: {completion_drop_min: 0.2}", "stage.completion_frequency=0", "stage.completion_drop_min"},
      {"hypernetwork: {m2p: {heads: 3}}", "hypernetwork.m2p.kind=linear", "hypernetwork.m2p.heads"},
      {"hypernetwork: {m2p: {couple_layers: 1, couple_width: 6, couple_heads: 4}}", "hypernetwork.m2p.kind=linear",
       "hypernetwork.m2p.couple_width"},
      {"stage: {adapter_reg: 0.1, adapter_reg_form: sum}", "stage.adapter_reg=null", "stage.adapter_reg_form"},
      {"validation: {max_samples: 7}", "data.validation_share=0", "validation.max_samples"},
  };
  for (const Case& test : cases) {
    // couple_heads 4 does not divide couple_width 6: a rule about keys without effect does not count.
    const std::string text = str(kPretrain, test.extra, "\n");
    EXPECT_EQ(fault(text, {test.override_text}), "") << test.extra;
    ExperimentConfig config = load(text, {test.override_text});
    ExperimentConfig defaults;
    const FieldList fields = fields_of(config);
    const FieldList usual = fields_of(defaults);
    for (std::size_t i = 0; i < fields.fields.size(); ++i) {
      if (fields.fields[i].path != test.reset) continue;
      EXPECT_EQ(field_value(fields.fields[i]), field_value(usual.fields[i])) << test.reset;
    }
    EXPECT_EQ(load(experiment_yaml(config)), config);
    EXPECT_NO_THROW(config.validate());
  }
  EXPECT_EQ(
      fault(str(kPretrain, "stage: {name: pretrain}\n"), {"stage.name=backbone", "model.config=c", "text.tokenizer=t"}),
      "");
}

TEST_F(ExperimentConfigTest, AKeyWithoutEffectIsAFaultBesideOrAfterItsCause) {
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none, clip_norm: 2}\n")),
            "x.yaml:3: `optimizer.clip_norm` has no effect with clip none (remove it)");
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none}\n"), {"optimizer.clip_norm=2"}),
            "override `optimizer.clip_norm=2`: `optimizer.clip_norm` has no effect with clip none (remove it)");
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none, clip_norm: 2}\n"), {"run.seed=1"}),
            "x.yaml:3: `optimizer.clip_norm` has no effect with clip none (remove it)");
}

TEST_F(ExperimentConfigTest, ADerivedFileMayTurnOffWhatItsBaseSets) {
  write(str(kPretrain, "optimizer: {clip_norm: 2}\n"), "b.yaml");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip: none}\n"), "");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip: none, clip_norm: 3}\n"),
            "x.yaml:2: `optimizer.clip_norm` has no effect with clip none (remove it)");
  write(str(kPretrain, "optimizer: {clip: none}\n"), "b.yaml");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip_norm: 3}\n"),
            "x.yaml:2: `optimizer.clip_norm` has no effect with clip none (remove it)");
}

TEST_F(ExperimentConfigTest, DataFilesAreTextOrJsonLines) {
  EXPECT_EQ(fault("model: {path: m}\ndata:\n  train: [a.txt, b.json]\n  validation: [v.TXT]\n"),
            "2 faults in x.yaml:\n"
            "  x.yaml:3: `data.train` lists `b.json`, an unknown kind of texts (use .txt or .jsonl)\n"
            "  x.yaml:4: `data.validation` lists `v.TXT`, an unknown kind of texts (use .txt or .jsonl)");
  EXPECT_EQ(fault(kPretrain, {"data.train=[a.txt, d.x/b.jsonl]", "data.validation=[v.txt]"}), "");
}

TEST_F(ExperimentConfigTest, RulesBetweenKeys) {
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

TEST_F(ExperimentConfigTest, FaultsOfReadingAndOfRulesAreListedTogether) {
  EXPECT_EQ(fault("model: {pth: m}\nstage: {completion_drop_min: 0.9}\nschedule: {epochs: 0}\n"),
            "4 faults in x.yaml:\n"
            "  x.yaml:1: unknown key `pth`: did you mean `path`?\n"
            "  x.yaml:3: `schedule.epochs`: expected an integer at least 1, found `0`\n"
            "  x.yaml: `data.train` is missing: list at least one .txt or .jsonl file\n"
            "  x.yaml:2: `stage.completion_drop_min` is 0.9, above `stage.completion_drop_max`, 0.3");
}

TEST_F(ExperimentConfigTest, AMisspeltStageRaisesNoFaultsOfTheOtherStage) {
  EXPECT_EQ(fault("stage: {name: backbon}\nmodel: {config: c}\ndata: {train: [a.txt]}\n"),
            "x.yaml:1: `stage.name`: expected one of pretrain, ift_mqa, ift_1qa, backbone, found `backbon`");
}

TEST_F(ExperimentConfigTest, ValidateChecksAConfigMadeInCode) {
  ExperimentConfig config;
  config.model.path = "m";
  config.data.train = {"a.txt"};
  EXPECT_NO_THROW(config.validate());
  config.hypernetwork.m2p.linear_bias = true;
  try {
    config.validate();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "`hypernetwork.m2p.linear_bias` has no effect with hypernetwork.m2p.kind transformer (remove it)");
  }
}

/// Shipped experiments: everything below configs/ but configs/base.
std::vector<fs::path> shipped_configs() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() / "configs")) {
    const bool is_base = entry.path().parent_path().filename() == "base";
    if (entry.path().extension() == ".yaml" && !is_base) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(ShippedConfigs, AreValidAndOpenWithTheCommandThatRunsThem) {
  const std::vector<fs::path> files = shipped_configs();
  EXPECT_GE(files.size(), 3U);
  for (const fs::path& file : files) {
    EXPECT_NO_THROW(load_experiment_config(file)) << file;
    const std::string text = read_text(file);
    const std::string line = text.substr(0, text.find('\n'));
    EXPECT_TRUE(line.starts_with("# ")) << file;
    EXPECT_NE(line.find(file.lexically_relative(source_dir()).string()), std::string::npos) << file << ": " << line;
  }
}

TEST(ShippedConfigs, TakeOverridesThatTurnPartsOff) {
  for (const std::string name : {"qwen3-0.6b", "smollm2-135m", "tiny-text"}) {
    const fs::path file = source_dir() / "configs" / name / "pretrain.yaml";
    for (const std::string text : {"optimizer.clip=none", "stage.completion_frequency=0", "data.validation=[x.txt]",
                                   "data.validation_share=0", "hypernetwork.m2p.kind=linear"}) {
      EXPECT_NO_THROW(load_experiment_config(file, {text})) << name << " " << text;
    }
  }
}

TEST(ShippedConfigs, QwenInstructionTuningHasThePapersNumbers) {
  for (const std::string size : {"0.6b", "1.7b", "8b"}) {
    const auto load = [&](const std::string& stage) {
      return load_experiment_config(source_dir() / "configs" / ("qwen3-" + size) / (stage + ".yaml"));
    };
    const ExperimentConfig turns = load("ift_mqa"), one = load("ift_1qa");
    ExperimentConfig paper = load("pretrain");  // backbone and hypernetwork are the same in all stages
    paper.run.dir = "runs/qwen3-" + size + "/ift_mqa";
    paper.stage = {.name = StageName::ift_mqa, .init_from = "runs/qwen3-" + size + "/pretrain"};
    paper.data.train = {"data/mqa.jsonl"};
    paper.text.context_max_length = paper.text.conversation_max_length = 1150;
    paper.optimizer.learning_rate = 3e-5;
    paper.schedule.warmup_steps = 400;
    paper.schedule.epochs = 2;
    paper.validation = {};
    paper.evaluation = {};
    paper.evaluation.data = {"data/mqa_test.jsonl"};
    EXPECT_EQ(compare_configs(paper, turns), std::vector<std::string>{}) << size;
    paper.run.dir = "runs/qwen3-" + size + "/ift_1qa";
    paper.stage = {.name = StageName::ift_1qa, .init_from = "runs/qwen3-" + size + "/ift_mqa"};
    paper.data.train = {"data/1qa.jsonl"};
    paper.text.context_max_length = 2380;
    paper.text.conversation_max_length = 100;
    paper.optimizer.learning_rate = 1e-5;
    paper.schedule.epochs = 1;
    paper.evaluation.data = {"data/1qa_test.jsonl"};
    paper.evaluation.limit = 1000;
    paper.evaluation.context_max_length = 4500;
    paper.evaluation.conversation_max_length = 300;
    paper.evaluation.prompts.empty_think_block = true;
    EXPECT_EQ(compare_configs(paper, one), std::vector<std::string>{}) << size;
  }
}

TEST(ShippedConfigs, QwenPretrainingHasThePapersNumbers) {
  for (const std::string size : {"0.6b", "1.7b", "8b"}) {
    const ExperimentConfig config =
        load_experiment_config(source_dir() / "configs" / ("qwen3-" + size) / "pretrain.yaml");
    ExperimentConfig paper;  // the other defaults are the paper's
    paper.run.dir = "runs/qwen3-" + size + "/pretrain";
    paper.model.path = size == "0.6b" ? "models/Qwen3-0.6B" : size == "1.7b" ? "models/Qwen3-1.7B" : "models/Qwen3-8B";
    paper.text.tokenizer = paper.model.path;
    paper.data.train = {"data/pretrain.jsonl"};
    paper.optimizer.accumulation = 32;  // 4 on each of 8 GPUs
    paper.evaluation.data = {"data/wikitext-2.txt"};
    paper.evaluation.baselines = {"naive", "shine", "shuffled"};
    if (size == "1.7b") paper.schedule.warmup_steps = 400;
    EXPECT_EQ(compare_configs(paper, config), std::vector<std::string>{}) << size;
  }
}

TEST_F(ExperimentConfigTest, ATestNeedsAModelAndItsDataAlone) {
  const auto fault_of = [&](const std::string& text) -> std::string {
    try {
      load_experiment_config(write(text), {}, nullptr, ConfigUse::test);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(fault_of("model: {path: m}\nevaluation: {data: [q.jsonl]}\n"), "");
  EXPECT_NE(fault_of("model: {path: m}\n").find("`evaluation.data` is missing"), std::string::npos);
  EXPECT_NE(fault_of("evaluation: {data: [q.jsonl]}\n").find("`model.path` is missing"), std::string::npos);
  EXPECT_NE(fault_of(std::string(kBackbone) + "evaluation: {data: [q.jsonl]}\n").find("`stage.name` is backbone"),
            std::string::npos);
  EXPECT_NE(fault_of("model: {path: m}\nevaluation: {data: [q.jsonl], baselines: [best]}\n").find("naive, in_context"),
            std::string::npos);
  EXPECT_NE(fault("model: {path: m}\nevaluation: {data: [q.jsonl]}\n").find("`data.train` is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace shine::test
