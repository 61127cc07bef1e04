// Keys that have no effect beside others.
#include "app/experiment_files.h"
#include "config/config_io.h"
#include "config/field_value.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

using ExperimentUnusedKeys = ExperimentFiles;

TEST_F(ExperimentUnusedKeys, AKeyWithoutEffectIsAFaultEvenAtItsDefault) {
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

TEST_F(ExperimentUnusedKeys, AnOverrideMayTurnOffWhatTheFileSets) {
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

TEST_F(ExperimentUnusedKeys, AKeyWithoutEffectIsAFaultBesideOrAfterItsCause) {
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none, clip_norm: 2}\n")),
            "x.yaml:3: `optimizer.clip_norm` has no effect with clip none (remove it)");
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none}\n"), {"optimizer.clip_norm=2"}),
            "override `optimizer.clip_norm=2`: `optimizer.clip_norm` has no effect with clip none (remove it)");
  EXPECT_EQ(fault(str(kPretrain, "optimizer: {clip: none, clip_norm: 2}\n"), {"run.seed=1"}),
            "x.yaml:3: `optimizer.clip_norm` has no effect with clip none (remove it)");
}

TEST_F(ExperimentUnusedKeys, ADerivedFileMayTurnOffWhatItsBaseSets) {
  write(str(kPretrain, "optimizer: {clip_norm: 2}\n"), "b.yaml");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip: none}\n"), "");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip: none, clip_norm: 3}\n"),
            "x.yaml:2: `optimizer.clip_norm` has no effect with clip none (remove it)");
  write(str(kPretrain, "optimizer: {clip: none}\n"), "b.yaml");
  EXPECT_EQ(fault("base: b.yaml\noptimizer: {clip_norm: 3}\n"),
            "x.yaml:2: `optimizer.clip_norm` has no effect with clip none (remove it)");
}

}  // namespace
}  // namespace shine::test
