// What a user does wrong: one line on standard error with the place and the cure, and nothing that existed is changed.
#include <gtest/gtest.h>

#include <algorithm>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

/// The lines of standard error that are no log messages.
std::vector<std::string> complaints(const Outcome& outcome) {
  std::vector<std::string> lines = lines_of(outcome.err);
  std::erase_if(lines, [](const std::string& line) { return line.find(" info ") == 8; });
  return lines;
}

void expect_complaint(const Outcome& outcome, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  const std::vector<std::string> lines = complaints(outcome);
  ASSERT_EQ(lines.size(), 1U) << outcome.err;
  EXPECT_EQ(lines[0].find("shine_train: error: "), 0U) << lines[0];
  for (const std::string& part : parts) EXPECT_NE(lines[0].find(part), std::string::npos) << part << " / " << lines[0];
}

/// A tiny run with a trained backbone, made once.
class TrainFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    const Outcome backbone = tiny_->train_backbone();
    if (backbone.status != 0) throw std::runtime_error(backbone.err);
  }
  static void TearDownTestSuite() { delete tiny_; }
  void TearDown() override { EXPECT_FALSE(std::filesystem::exists(tiny_->file("run/config.yaml"))); }

  static Outcome pretrain(std::vector<std::string> overrides = {}) { return tiny_->train("pretrain.yaml", overrides); }

  static TinyRun* tiny_;
};

TinyRun* TrainFaults::tiny_ = nullptr;

TEST_F(TrainFaults, MissingConfiguration) {
  expect_complaint(run_program("shine_train", {tiny_->file("none.yaml")}), {"none.yaml: no such file"});
  expect_complaint(run_program("shine_train", {tiny_->folder().string()}), {tiny_->folder().string()});
}

TEST_F(TrainFaults, UnknownKeyNamesTheNearestOne) {
  write_bytes(tiny_->file("typo.yaml"), read_bytes(tiny_->file("pretrain.yaml")) + "checkpoint:\n  evry_steps: 3\n");
  expect_complaint(tiny_->train("typo.yaml"), {"typo.yaml:10", "`evry_steps`", "did you mean `every_steps`"});
  expect_complaint(pretrain({"run.sed=1"}), {"override `run.sed=1`", "did you mean `", "seed`"});
}

TEST_F(TrainFaults, SeveralFaultsComeTogether) {
  const Outcome outcome = pretrain({"run.sed=1", "optimizer.beta1=2", "hypernetwork.lora_rank=0"});
  EXPECT_EQ(outcome.status, 1);
  const std::vector<std::string> lines = complaints(outcome);
  ASSERT_EQ(lines.size(), 4U) << outcome.err;
  EXPECT_NE(lines[0].find("3 faults in "), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("run.sed"), std::string::npos) << lines[1];
}

TEST_F(TrainFaults, MissingModelDirectory) {
  expect_complaint(pretrain({"model.path=/no/such/model"}), {"/no/such/model", "model.path"});
  std::filesystem::create_directories(tiny_->file("empty-model"));
  expect_complaint(pretrain({"model.path=" + tiny_->file("empty-model")}),
                   {"no config.json in ", "empty-model (needed: "});
}

TEST_F(TrainFaults, ModelWithoutWeights) {
  write_bytes(tiny_->file("bare/config.json"), tiny_decoder_json());
  expect_complaint(pretrain({"model.path=" + tiny_->file("bare"), "text.tokenizer=" + tiny_->file("tokenizer")}),
                   {tiny_->file("bare"), "model.safetensors"});
}

TEST_F(TrainFaults, ModelOfAnotherFamily) {
  write_bytes(tiny_->file("mamba/config.json"), R"({"model_type": "mamba", "hidden_size": 32})");
  expect_complaint(pretrain({"model.path=" + tiny_->file("mamba")}),
                   {"mamba/config.json", "`mamba`", "use a qwen3, qwen2, llama, mistral, smollm3 or olmo2 model"});
}

TEST_F(TrainFaults, TruncatedWeights) {
  const std::string model = tiny_->file("truncated");
  std::filesystem::copy(tiny_->file("backbone/model"), model);
  std::filesystem::resize_file(model + "/model.safetensors", 9000);
  expect_complaint(pretrain({"model.path=" + model}), {"truncated/model.safetensors"});
}

TEST_F(TrainFaults, WeightsOfOtherSizes) {
  const std::string model = tiny_->file("wider");
  std::filesystem::copy(tiny_->file("backbone/model"), model);
  std::string json = tiny_decoder_json();
  json.replace(json.find("\"intermediate_size\": 64"), 23, "\"intermediate_size\": 96");
  write_bytes(model + "/config.json", json);
  expect_complaint(pretrain({"model.path=" + model}), {"wider", "gate_proj.weight", "64", "96"});
}

TEST_F(TrainFaults, DeviceThatIsNotThere) {
  expect_complaint(pretrain({"run.device=cuda:99"}), {"cuda:99", "run.device=cpu"});
  expect_complaint(pretrain({"run.device=gpu"}), {"run.device", "auto, cpu, cuda or cuda:N"});
}

TEST_F(TrainFaults, RunFolderThatCannotBeMade) {
  write_bytes(tiny_->file("plain-file"), "kept");
  expect_complaint(pretrain({"run.dir=" + tiny_->file("plain-file")}), {"plain-file", "run.dir"});
  expect_complaint(pretrain({"run.dir=" + tiny_->file("plain-file/below")}), {"plain-file", "run.dir"});
  expect_complaint(pretrain({"run.dir=/proc/shine"}), {"/proc/shine", "run.dir"});
  EXPECT_EQ(read_bytes(tiny_->file("plain-file")), "kept");
}

TEST_F(TrainFaults, MissingTokenizer) {
  expect_complaint(pretrain({"text.tokenizer=/no/such/tokenizer"}), {"/no/such/tokenizer", "text.tokenizer"});
}

TEST_F(TrainFaults, AChatTemplateThatNobodyKnows) {
  const std::string tokenizer = tiny_->file("tokenizer-of-a-chat");
  std::filesystem::copy(tiny_->file("tokenizer"), tokenizer);
  write_bytes(tokenizer + "/chat_template.jinja", "{{ '<start_of_turn>' + messages[0].content }}");
  expect_complaint(
      pretrain({"text.tokenizer=" + tokenizer}),
      {"text.chat_format: ", "tokenizer-of-a-chat", "is of no known format", "chatml, llama3, mistral or none"});
  const Outcome named = pretrain({"text.tokenizer=" + tokenizer, "text.chat_format=chatml", "run.max_steps=1",
                                  "schedule.warmup_steps=0", "run.dir=" + tiny_->file("named")});
  EXPECT_EQ(named.status, 0) << named.err;
}

TEST_F(TrainFaults, TrainingTexts) {
  expect_complaint(pretrain({"data.train=[/no/such/texts.txt]"}), {"/no/such/texts.txt", "data.train"});
  expect_complaint(pretrain({"data.train=[" + tiny_->file("config.json") + "]"}),
                   {"config.json", "use .txt or .jsonl"});

  std::string lines;
  for (int i = 1; i <= 12; ++i) lines += "{\"text\": \"The lamp of day " + std::to_string(i) + ".\"}\n";
  std::vector<std::string> broken = lines_of(lines);
  const std::string jsonl = tiny_->file("broken.jsonl");
  for (const char* line : {"{\"text\": \"cut", "{\"txt\": \"a\"}", "{\"text\": 3}", "[1]"}) {
    broken[6] = line;
    std::string text;
    for (const std::string& each : broken) text += each + "\n";
    write_bytes(jsonl, text);
    expect_complaint(pretrain({"data.train=[" + jsonl + "]"}), {"broken.jsonl:7"});
  }
  write_bytes(jsonl, "");
  expect_complaint(pretrain({"data.train=[" + jsonl + "]"}), {"documents"});
  expect_complaint(tiny_->train("backbone.yaml", {"run.dir=" + tiny_->file("empty"), "data.train=[" + jsonl + "]",
                                                  "data.validation_share=0"}),
                   {"data.train: " + jsonl, "no text to train on"});
}

TEST_F(TrainFaults, LengthsAndHeadsThatDoNotFit) {
  expect_complaint(pretrain({"text.conversation_max_length=5"}), {"conversation_max_length"});
  expect_complaint(pretrain({"hypernetwork.m2p.heads=5"}), {"heads"});
}

TEST_F(TrainFaults, AnExistingRunIsLeftAsItWas) {
  const std::string run = tiny_->file("kept");
  ASSERT_EQ(pretrain({"run.dir=" + run, "run.max_steps=2"}).status, 0);
  const auto before = snapshot(run);
  const auto expect_kept = [&] {
    auto after = snapshot(run);
    after["log.txt"] = before.at("log.txt");
    EXPECT_EQ(after, before);
  };
  expect_complaint(pretrain({"run.dir=" + run, "optimizer.learning_rate=1e-2"}),
                   {run, "optimizer.learning_rate", "run.dir"});
  expect_kept();
  expect_complaint(pretrain({"run.dir=" + run, "checkpoint.resume=never"}), {run, "run.dir"});
  expect_kept();
  std::filesystem::rename(tiny_->file("texts.txt"), tiny_->file("away.txt"));
  expect_complaint(pretrain({"run.dir=" + run}), {"texts.txt"});
  std::filesystem::rename(tiny_->file("away.txt"), tiny_->file("texts.txt"));
  expect_kept();
}

TEST_F(TrainFaults, NotEnoughMemoryIsOneLine) {
  std::string json = tiny_decoder_json();
  json.replace(json.find("\"vocab_size\": 320"), 17, "\"vocab_size\": 16777216");
  json.replace(json.find("\"hidden_size\": 32"), 17, "\"hidden_size\": 16777216");
  write_bytes(tiny_->file("huge.json"), json);
  const Outcome outcome =
      tiny_->train("backbone.yaml", {"run.dir=" + tiny_->file("huge"), "model.config=" + tiny_->file("huge.json")});
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  const std::vector<std::string> lines = complaints(outcome);
  ASSERT_EQ(lines.size(), 2U) << outcome.err;
  EXPECT_NE(lines[0].find(" warning the memory estimate, "), std::string::npos) << lines[0];
  EXPECT_EQ(lines[1].find("shine_train: error: out of memory"), 0U) << lines[1];
  for (const std::string& line : lines) EXPECT_NE(line.find("optimizer.batch_size"), std::string::npos) << line;
}

}  // namespace
}  // namespace shine::test
