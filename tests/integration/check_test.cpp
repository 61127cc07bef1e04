// shine_train --check: sizes from a config.json alone; and the usual answers of the programs with LibTorch.
#include <gtest/gtest.h>

#include <regex>

#include "integration/answers.h"
#include "integration/tiny_run.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

/// The numbers of a published model, and what follows from them by hand: D is the sum of in + out over the seven
/// projections, C the biases of a layer; M = (8 D + C) / H, rounded up; Meta-LoRA L (128 D + C); M2P
/// (L + M) H + 4 (8 H^2 + 11 H); memory M H.
struct Expected {
  const char *config, *model_type;
  int hidden, layers, intermediate, heads;
  bool tied;
  const char *backbone, *memory_tokens, *meta_lora, *m2p, *memory, *all;
  const char* keys;  ///< the rest of its config.json
};

std::ostream& operator<<(std::ostream& out, const Expected& expected) {
  return out << expected.config;
}

constexpr const char* kQwen3Keys = R"("attention_bias": false, "head_dim": 128, "num_key_value_heads": 8,
"vocab_size": 151936, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "rope_scaling": null, "sliding_window": null,
"use_sliding_window": false, "max_window_layers": 28, "max_position_embeddings": 40960)";
constexpr const char* kQwen25Keys = R"("num_key_value_heads": 2, "vocab_size": 151936, "rms_norm_eps": 1e-06,
"rope_theta": 1000000.0, "sliding_window": 32768, "use_sliding_window": false, "max_window_layers": 21,
"max_position_embeddings": 32768, "bos_token_id": 151643, "eos_token_id": 151645)";
constexpr const char* kLlama32Keys = R"("attention_bias": false, "mlp_bias": false, "head_dim": 64,
"num_key_value_heads": 8, "vocab_size": 128256, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "rope_scaling":
{"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
"rope_type": "llama3"}, "max_position_embeddings": 131072, "pretraining_tp": 1, "eos_token_id": [128001, 128008, 128009])";

std::string config_json(const Expected& e) {
  return str(R"({"model_type": ")", e.model_type, R"(", "hidden_act": "silu", "attention_dropout": 0.0,
"torch_dtype": "bfloat16", "hidden_size": )",
             e.hidden, ", \"num_hidden_layers\": ", e.layers, ", \"intermediate_size\": ", e.intermediate,
             ", \"num_attention_heads\": ", e.heads, ", \"tie_word_embeddings\": ", e.tied ? "true" : "false", ", ",
             e.keys, "}\n");
}

class CheckModels : public testing::TestWithParam<Expected> {};

TEST_P(CheckModels, SizesNeedNoWeights) {
  const Expected& expected = GetParam();
  const TemporaryFolder folder;
  write_bytes(folder.path() / "config.json", config_json(expected));
  write_bytes(folder.path() / "texts.txt", "one\n\ntwo\n");
  const std::string run = (folder.path() / "run").string();
  const Outcome outcome = run_program(
      "shine_train", {str("configs/", expected.config, "/pretrain.yaml"), "model.path=" + folder.path().string(),
                      "data.train=[" + (folder.path() / "texts.txt").string() + "]", "run.dir=" + run,
                      "logging.level=warning", "--check"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  for (const std::string& line :
       {str("backbone: ", expected.model_type, ", ", expected.layers, " layers, H ", expected.hidden, ", ",
            expected.backbone, " parameters (frozen)\n"),
        std::string("\nmemory tokens: ") + expected.memory_tokens + "\n",
        std::string("\ntrained metalora: ") + expected.meta_lora + " parameters\n",
        std::string("\ntrained metanetwork: ") + expected.m2p + " parameters\n",
        std::string("\ntrained mem_tokens: ") + expected.memory + " parameters\n",
        std::string("\ntrained in all: ") + expected.all + " parameters\n",
        std::string("\nprecision: backbone bfloat16, as its files have it, products in bfloat16; "),
        std::string("\ndata: 1 training and 1 validation texts\n"), "\nrun.dir: " + run + ", a new run\n",
        std::string("\nnot there yet, and needed to train: the weights (*.safetensors), a tokenizer (tokenizer.json or "
                    "tokenizer.model)\n")}) {
    EXPECT_NE(outcome.out.find(line), std::string::npos) << line << "is not in\n" << outcome.out;
  }
  // Frozen weights as config.json announces them, 16 bytes for a trained value; a run on a GPU of 80 GB cannot need terabytes.
  std::smatch mib;
  const std::regex estimate(
      R"(memory estimate: (\d+) MiB frozen weights \+ (\d+) MiB prepared .* \+ (\d+) MiB trained .* \+ (\d+) MiB act.* = (\d+) MiB)");
  ASSERT_TRUE(std::regex_search(outcome.out, mib, estimate)) << outcome.out;
  EXPECT_NEAR(std::stod(mib[1]), std::stod(expected.backbone) * 2 / (1 << 20), 1);
  EXPECT_LT(std::stod(mib[2]), 2 * std::stod(mib[1])) << "two copies of the layers, at most";
  EXPECT_NEAR(std::stod(mib[3]), std::stod(expected.all) * 16 / (1 << 20), 1);
  EXPECT_GT(std::stod(mib[4]), 100);
  EXPECT_LT(std::stod(mib[4]), 100000);
  EXPECT_NEAR(std::stod(mib[5]), std::stod(mib[1]) + std::stod(mib[2]) + std::stod(mib[3]) + std::stod(mib[4]), 3);
  EXPECT_FALSE(std::filesystem::exists(run));
}

INSTANTIATE_TEST_SUITE_P(Integration, CheckModels,
                         testing::Values(Expected{"qwen3-0.6b", "qwen3", 1024, 28, 3072, 16, true, "596049920", "176",
                                                  "80740352", "33808384", "180224", "114728960", kQwen3Keys},
                                         Expected{"qwen3-1.7b", "qwen3", 2048, 28, 6144, 16, true, "1720574976", "152",
                                                  "139460608", "134676480", "311296", "274448384", kQwen3Keys},
                                         Expected{"qwen3-4b", "qwen3", 2560, 36, 9728, 32, true, "4022468096", "180",
                                                  "264241152", "210380800", "460800", "475082752", kQwen3Keys},
                                         Expected{"qwen3-8b", "qwen3", 4096, 36, 12288, 32, false, "8190735360", "148",
                                                  "349175808", "537804800", "606208", "887586816", kQwen3Keys},
                                         Expected{"qwen2.5-0.5b", "qwen2", 896, 24, 4864, 14, true, "494032768", "206",
                                                  "70413312", "25935616", "184576", "96533504", kQwen25Keys},
                                         Expected{"llama-3.2-1b", "llama", 2048, 16, 8192, 32, true, "1235814400",
                                                  "172", "90177536", "134692864", "352256", "225222656",
                                                  kLlama32Keys}));

TEST(Check, SumOfPartsAndNoRunFolder) {
  const TinyRun tiny;
  const Outcome outcome = tiny.train("backbone.yaml", {"--check"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  // 320 * 32 embeddings, 2 layers of 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32 + 2 * 16, and the last norm.
  EXPECT_NE(outcome.out.find("28896 parameters (trained)"), std::string::npos) << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(tiny.file("backbone")));
}

TEST(Check, WhatWouldStopTheRunIsSaidAfterTheSizes) {
  const TinyRun tiny;
  const Outcome backbone = tiny.train_backbone();
  ASSERT_EQ(backbone.status, 0) << backbone.err;
  ASSERT_EQ(tiny.train("pretrain.yaml", {"run.max_steps=2"}).status, 0);
  const auto check = [&](const std::string& yaml, std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), {"--check", "logging.level=warning"});
    return tiny.train(yaml, overrides);
  };
  const auto expect_fault = [&](const std::string& yaml, const std::vector<std::string>& overrides,
                                const std::string& message) {
    const Outcome outcome = check(yaml, overrides);
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_NE(outcome.out.find("\ntrained in all: "), std::string::npos) << "sizes come first\n" << outcome.out;
    EXPECT_NE(outcome.err.find("shine_train: error: "), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << message << " is not in\n" << outcome.err;
  };
  const std::string elsewhere = "run.dir=" + tiny.file("elsewhere");
  const Outcome fine = check("ift_mqa.yaml", {});
  EXPECT_EQ(fine.status, 0) << fine.err;
  EXPECT_EQ(fine.err, "");
  EXPECT_NE(fine.out.find("\nstage.init_from: " + tiny.file("run") + " is finished"), std::string::npos) << fine.out;
  EXPECT_NE(fine.out.find("\ndata: 40 training and 6 validation contexts\n"), std::string::npos) << fine.out;
  EXPECT_NE(fine.out.find("\nan epoch: "), std::string::npos) << fine.out;
  EXPECT_NE(fine.out.find("\nthe run: "), std::string::npos) << fine.out;
  EXPECT_EQ(fine.out.find("not there yet"), std::string::npos) << fine.out;
  EXPECT_NE(check("pretrain.yaml", {"run.max_steps=2"}).out.find("/run, a run to go on with\n"), std::string::npos);

  expect_fault("pretrain.yaml", {elsewhere, "data.train=[none.txt]"}, "data.train: no such file or folder: none.txt");
  expect_fault("pretrain.yaml", {"run.seed=2"},
               "the run there has another configuration: run.seed: 42 -> 2 (use another run.dir (with the launch "
               "scripts: RUN=NAME)");
  expect_fault("pretrain.yaml", {"run.dir=" + tiny.file("texts.txt") + "/run"}, "texts.txt is no folder");
  expect_fault("ift_mqa.yaml", {"stage.init_from=" + tiny.file("backbone")}, "");
  expect_fault("ift_mqa.yaml", {"stage.init_from=" + tiny.file("none")}, "stage.init_from: no such file or folder: ");
  expect_fault("ift_mqa.yaml", {"hypernetwork.lora_rank=5"}, "were trained with hypernetwork.lora_rank=2: copy that");
  write_bytes(tiny.file("broken.jsonl"), tiny_questions(0, 3) + "{\n");
  expect_fault("ift_mqa.yaml", {"data.train=[" + tiny.file("broken.jsonl") + "]"}, "broken.jsonl:4");
  EXPECT_FALSE(std::filesystem::exists(tiny.file("elsewhere")));
  EXPECT_FALSE(std::filesystem::exists(tiny.file("ift_mqa")));

  const Outcome no_model = check("pretrain.yaml", {elsewhere, "model.path=" + tiny.file("Qwen3-4B")});
  EXPECT_EQ(no_model.status, 1);
  EXPECT_NE(no_model.err.find("hf download Qwen/Qwen3-4B --local-dir"), std::string::npos) << no_model.err;
}

TEST(Check, TimesTheStageAndLeavesNothingBehind) {
  const TinyRun tiny;
  ASSERT_EQ(tiny.train_backbone().status, 0);
  const auto before = snapshot(tiny.folder());
  const Outcome outcome =
      tiny.train("pretrain.yaml", {"--check", "--time", "logging.level=warning", "text.context_max_length=40",
                                   "text.conversation_max_length=44", "schedule.epochs=3", "run.max_steps=0"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  std::smatch planned, timed;
  ASSERT_TRUE(std::regex_search(outcome.out, planned, std::regex(R"(3 epochs, (\d+) steps)"))) << outcome.out;
  const std::regex lines(
      R"(timed on cpu, 1 process, 4 steps after 1 to warm up: (\S+) s a step \(\S+ to \S+\), \d+ tokens/s\n)"
      R"(the run: (\d+) steps take about (\S+) hours, )");
  ASSERT_TRUE(std::regex_search(outcome.out, timed, lines)) << outcome.out;
  EXPECT_EQ(timed[2], planned[1]);
  const double hours = std::stod(timed[1]) * std::stod(timed[2]) / 3600;
  EXPECT_NEAR(std::stod(timed[3]), hours, 0.01 * hours);
  for (const char* row : {"\n              10                   44 ", "\n              20                   44 ",
                          "\n              40                   44 "}) {
    EXPECT_NE(outcome.out.find(row), std::string::npos) << row << " is not in\n" << outcome.out;
  }
  EXPECT_EQ(snapshot(tiny.folder()), before);
  EXPECT_NE(tiny.train("pretrain.yaml", {"--time"}).status, 0) << "a part of --check";
}

TEST(TorchPrograms, AnswerHelpVersionAndWrongOptions) {
  for (const char* program : {"shine_train", "shine_verify"}) expect_usual_answers(program);
}

TEST(TorchPrograms, TrainExplainsEveryKey) {
  const Outcome keys = run_program("shine_train", {"--keys"});
  EXPECT_EQ(keys.status, 0);
  for (const char* key : {"max_steps", "lora_rank", "completion_frequency", "learning_rate", "keep_last"}) {
    EXPECT_NE(keys.out.find(key), std::string::npos) << key;
  }
  const Outcome group = run_program("shine_train", {"--keys", "hypernetwork"});
  EXPECT_EQ(group.status, 0) << group.err;
  EXPECT_TRUE(group.out.starts_with("hypernetwork: what turns a context into a LoRA\n  lora_rank = 8 ")) << group.out;
  EXPECT_EQ(group.out.find("learning_rate"), std::string::npos) << group.out;
  const Outcome unknown = run_program("shine_train", {"--keys", "hypernetwrk"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_TRUE(unknown.err.starts_with(
      "shine_train: error: no group and no key is called `hypernetwrk`: did you mean `hypernetwork`? (the groups are "))
      << unknown.err;
}

}  // namespace
}  // namespace shine::test
