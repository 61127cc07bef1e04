// The keys themselves: what they are, and what earlier versions called them.
#include <map>

#include "app/experiment_files.h"
#include "config/config_io.h"
#include "config/field_value.h"
#include "config/yaml_tree.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

using ExperimentKeys = ExperimentFiles;

/// Where its value must stay: "run", "deterministic run", "test".
std::string fixed_in(const KeyTraits& traits) {
  std::vector<std::string> parts;
  if (traits.fixed_in_run(/*deterministic=*/true)) {
    parts.emplace_back(traits.fixed_in_run(/*deterministic=*/false) ? "run" : "deterministic run");
  }
  if (traits.fixed_in_test()) parts.emplace_back("test");
  return parts.empty() ? "" : "  fixed in " + join(parts, ", ");
}

TEST_F(ExperimentKeys, KeysTypesDefaultsLimitsAndWhatAResumeComparesArePinned) {
  ExperimentConfig config;
  std::string keys;
  for (const Field& field : fields_of(config).fields) {
    const std::string limits = field.constraint.text.empty() ? "" : ", " + field.constraint.text;
    keys +=
        str(field.path, " = ", field_value(field), " (", field_type(field), limits, ")", fixed_in(field.traits), "\n");
  }
  EXPECT_EQ(keys, read_bytes(golden_dir() / "config_keys.txt"));
}

TEST_F(ExperimentKeys, RulesOnUnusedKeysNameKeysAndValuesThatExist) {
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

TEST_F(ExperimentKeys, EveryKeyHasHelpInTheHelpText) {
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

TEST_F(ExperimentKeys, KeysThatMovedAreReadAndNameTodaysKeys) {
  testing::internal::CaptureStderr();
  const ExperimentConfig config = load(
      str(kPretrain, "evaluation:\n  every_steps: 7\n  max_samples: 5\n  at_start: false\n  diagnostics: false\n"));
  const std::string told = testing::internal::GetCapturedStderr();
  const ValidationConfig expected{.every_steps = 7, .max_samples = 5, .at_start = false, .diagnostics = false};
  EXPECT_EQ(config.validation, expected);
  for (const char* line : {"`evaluation.every_steps` is now `validation.every_steps`",
                           "`evaluation.max_samples` is now `validation.max_samples`",
                           "`evaluation.at_start` is now `validation.at_start`",
                           "`evaluation.diagnostics` is now `validation.diagnostics`"}) {
    EXPECT_NE(told.find(line), std::string::npos) << told;
  }
}

TEST_F(ExperimentKeys, AKeyThatMeansAnotherThingTodayIsAFaultThatNamesTodaysKey) {
  EXPECT_EQ(fault(kPretrain, {"hypernetwork.method=lr"}),
            "override `hypernetwork.method=lr`: `hypernetwork.method` is now `hypernetwork.reshape`");
  EXPECT_EQ(fault(str(kPretrain, "hypernetwork:\n  method: rr\n")),
            "x.yaml:4: `hypernetwork.method` is now `hypernetwork.reshape`");
}

TEST_F(ExperimentKeys, ConfigurationsThatEarlierVersionsSavedAreRead) {
  const std::string saved =
      str(kPretrain,
          "hypernetwork: {method: lr}\nevaluation: {every_steps: 7, max_samples: 5, at_start: false, diagnostics: "
          "false, seed: 3}\n");
  ExperimentConfig expected = load(kPretrain);
  expected.hypernetwork.reshape = LoraReshape::lr;
  expected.validation = {.every_steps = 7, .max_samples = 5, .at_start = false, .diagnostics = false};
  expected.evaluation.seed = 3;
  for (const std::string beside : {"checkpoints", "log.txt", "metrics.jsonl", "state.json", "test.json"}) {
    const std::string file = write(saved, str(beside, "/config.yaml"));
    EXPECT_THROW(load_experiment_config(file), ConfigError) << "a user's file may have the same name";
    write("", str(beside, "/", beside));
    EXPECT_EQ(load_experiment_config(file), expected) << beside;
    EXPECT_EQ(load_experiment_config(file, {"validation.every_steps=9"}).validation.every_steps, 9);
    EXPECT_EQ(load_experiment_config(file, {"evaluation.every_steps=9"}).validation.every_steps, 9);
  }
}

}  // namespace
}  // namespace shine::test
