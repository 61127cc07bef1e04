// The program shine_export: an adapter in every format, many at once, the limits.
#include <gtest/gtest.h>

#include "integration/answers.h"
#include "integration/mpirun.h"
#include "integration/tiny_run.h"
#include "shine/adapter/adapter.h"
#include "shine/decoder/decoder.h"
#include "support/relative_error.h"
#include "support/skip.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class Export : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tiny_ = new TinyRun();
    backbone_ = tiny_->train_backbone();
    run_ = tiny_->train("pretrain.yaml", {"run.max_steps=3"});
    write_bytes(tiny_->folder() / "note.txt", "The baker sold a lamp on day 3.\n");
    std::string lines;
    for (const char* day : {"1", "2", "3", "4", "5"}) {
      lines +=
          std::string(R"({"id": "day-)") + day + R"(", "context": "The baker sold a lamp on day )" + day + ".\"}\n";
    }
    write_bytes(tiny_->folder() / "notes.jsonl", lines);
  }
  static void TearDownTestSuite() { delete tiny_; }
  void SetUp() override {
    ASSERT_EQ(backbone_.status, 0) << backbone_.err;
    ASSERT_EQ(run_.status, 0) << run_.err;
  }

  static std::string file(const std::string& name) { return tiny_->file(name); }
  static Outcome run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), file("pretrain.yaml"));
    return run_program("shine_export", arguments);
  }
  /// Of note.txt.
  static Outcome export_note(const std::string& format, const std::string& output, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--checkpoint", file("run"), "--context", file("note.txt"), "--format", format, "--output",
                             file(output)});
    return run(more);
  }
  /// Of notes.jsonl.
  static Outcome export_notes(const std::string& output, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--checkpoint", file("run"), "--contexts", file("notes.jsonl"), "--output", file(output)});
    return run(more);
  }
  static DecoderConfig config() { return read_decoder_config(file("backbone/model/config.json")); }
  static Adapter read(const std::string& name) { return read_adapter(file(name), config()); }

  static std::vector<at::Tensor> tensors(const Adapter& adapter) {
    std::vector<at::Tensor> all;
    for (const LoraLayer& layer : adapter.tree.layers) append_tensors(layer.projections, all);
    return all;
  }
  static void expect_equal(const Adapter& found, const Adapter& expected) {
    const auto a = tensors(found), b = tensors(expected);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(a[i].defined(), b[i].defined());
      EXPECT_TRUE(!a[i].defined() || a[i].equal(b[i])) << i;
    }
    EXPECT_EQ(found.metadata.identity, expected.metadata.identity);
    EXPECT_EQ(found.metadata.backbone, expected.metadata.backbone);
  }

  static TinyRun* tiny_;
  static Outcome backbone_, run_;
};

TinyRun* Export::tiny_ = nullptr;
Outcome Export::backbone_, Export::run_;

TEST_F(Export, AnswersAsEveryProgram) {
  expect_usual_answers("shine_export");
  const auto help = lines_of(run_program("shine_export", {"--help"}).out);
  EXPECT_LE(help.size(), 24U);
  for (const std::string& line : help) EXPECT_LE(line.size(), 90U) << line;
  EXPECT_EQ(help.back().find("Example: shine_export "), 0U) << "an example";
}

TEST_F(Export, EveryFormatHoldsTheSameAdapter) {
  const Outcome own = export_note("shine", "own");
  ASSERT_EQ(own.status, 0) << own.err;
  const Adapter expected = read("own");
  EXPECT_EQ(expected.metadata.identity.size(), 16U);
  EXPECT_EQ(own.out, file("own") + ": shine, rank 2, float32, identity " + expected.metadata.identity + "\n");
  for (const char* format : {"peft", "gguf", "mlx"}) {
    SCOPED_TRACE(format);
    const Outcome outcome = export_note(format, format, {"run.threads=2"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const Adapter found = read(format);
    EXPECT_EQ(found.metadata.identity, expected.metadata.identity) << "with any number of threads";
    EXPECT_LT(relative_error(tensors(found)[0], tensors(expected)[0]), 1e-5);
    EXPECT_LT(relative_error(tensors(found)[40], tensors(expected)[40]), 1e-5);
  }
  const Outcome narrow = export_note("peft", "narrow", {"--dtype", "bfloat16", "--for", "vllm"});
  ASSERT_EQ(narrow.status, 0) << narrow.err;
  EXPECT_NE(narrow.out.find("to load it: vllm serve MODEL --enable-lora --lora-modules NAME="), std::string::npos);
  const double rounding = relative_error(tensors(read("narrow"))[0], tensors(expected)[0]);
  EXPECT_GT(rounding, 1e-5);
  EXPECT_LT(rounding, 1e-2);
}

TEST_F(Export, ConvertsAndAddsAdapters) {
  ASSERT_EQ(export_note("peft", "from").status, 0);
  for (const char* format : {"shine", "gguf", "mlx"}) {
    const std::string output = std::string("to-") + format;
    const Outcome outcome = run({"--adapter", file("from"), "--format", format, "--output", file(output)});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    expect_equal(read(output), read("from"));
  }
  const Outcome sum = run({"--adapter", file("from") + ":0.5", "--adapter", file("to-gguf") + ":0.25", "--format",
                           "shine", "--output", file("sum")});
  ASSERT_EQ(sum.status, 0) << sum.err;
  const auto delta = [](const Adapter& adapter) {
    const LoraWeights& down = adapter.tree.layers[1][Projection::down];
    return down.a[0].mm(down.b[0]);
  };
  EXPECT_LT(relative_error(delta(read("sum")), delta(read("from")) * 0.75), 1e-5);
  EXPECT_NE(read("sum").metadata.identity, read("from").metadata.identity);
}

TEST_F(Export, TheMergedModelAnswersAsTheBackboneWithTheAdapter) {
  ASSERT_EQ(export_note("shine", "adapter").status, 0);
  const Outcome outcome = export_note("merged", "merged");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  Decoder backbone(config(), {}), merged(config(), {});
  load_decoder(backbone, file("backbone/model"));
  load_decoder(merged, file("merged"));
  const at::NoGradGuard no_grad;
  const TokenRows rows = TokenRows::pack({{5, 9, 200, 77, 31}}, at::kCPU);
  const LoraTree lora = read("adapter").tree;
  const at::Tensor expected = backbone.logits(backbone.forward(rows, &lora));
  EXPECT_LT(relative_error(merged.logits(merged.forward(rows, nullptr)), expected), 1e-5);
  EXPECT_TRUE(fs::exists(file("merged/tokenizer.json")));
}

TEST_F(Export, ManyContextsGoOnWhereTheyWereStopped) {
  const Outcome first = export_notes("many", {"--format", "peft", "evaluation.batch_size=2"});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_NE(first.out.find("adapters of 5 contexts, 0 of them were there"), std::string::npos) << first.out;
  EXPECT_NE(first.err.find("adapter 5 of 5"), std::string::npos) << first.err;
  ASSERT_EQ(export_note("peft", "day-3").status, 0);
  EXPECT_EQ(read("many/day-3").metadata.identity, read("day-3").metadata.identity);
  EXPECT_LT(relative_error(tensors(read("many/day-3"))[0], tensors(read("day-3"))[0]), 1e-5);

  const std::string kept = read_bytes(file("many/day-1/adapter_model.safetensors"));
  fs::remove_all(file("many/day-2"));
  fs::remove_all(file("many/day-5"));
  fs::create_directories(file("many/day-5.partial-1"));
  const Outcome second = export_notes("many", {"--format", "peft"});
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_NE(second.err.find("going on: 3 of 5 adapters are there"), std::string::npos) << second.err;
  EXPECT_EQ(read_bytes(file("many/day-1/adapter_model.safetensors")), kept);
  EXPECT_TRUE(fs::exists(file("many/day-2/adapter_config.json")));
  EXPECT_FALSE(fs::exists(file("many/day-5.partial-1")));

  const auto fault = [&](const std::vector<std::string>& more) { return export_notes("many", more).err; };
  EXPECT_NE(fault({"--format", "peft", "hypernetwork.generated_scale=0.5"}).find("the adapter there has identity "),
            std::string::npos);
  EXPECT_NE(fault({"--format", "peft", "--max-rank", "1"}).find("the adapter there has identity "), std::string::npos);
  EXPECT_NE(fault({"--format", "mlx"}).find("the adapters there have format peft, not mlx"), std::string::npos);
  EXPECT_NE(fault({"--format", "peft", "--dtype", "float16"}).find("have dtype float32, not float16"),
            std::string::npos);
  EXPECT_NE(fault({"--format", "merged"}).find("a whole model for every context"), std::string::npos);
}

TEST_F(Export, ManyFilesHaveAnEnding) {
  const std::vector<std::string> options{"--format", "gguf", "--max-rank", "1"};
  const Outcome first = export_notes("files", options);
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_NE(first.err.find("rank 1 leaves out: at most "), std::string::npos) << first.err;
  EXPECT_EQ(read("files/day-4.gguf").tree.rank(), 1);
  const Outcome second = export_notes("files", options);
  EXPECT_NE(second.out.find("5 of them were there"), std::string::npos) << second.err;
}

TEST_F(Export, RanksShareTheContextsAndGiveTheSameIdentities) {
  if (const std::string obstacle = obstacle_to_ranks(); !obstacle.empty()) SHINE_SKIP("mpi", obstacle);
  ASSERT_EQ(export_notes("alone", {"--format", "peft"}).status, 0);
  const Outcome shared =
      run_program_on_ranks(2, "shine_export",
                           {file("pretrain.yaml"), "evaluation.batch_size=1", "--checkpoint", file("run"), "--contexts",
                            file("notes.jsonl"), "--format", "peft", "--output", file("shared")});
  ASSERT_EQ(shared.status, 0) << shared.err;
  for (const char* day : {"day-1", "day-2", "day-3", "day-4", "day-5"}) {
    const Adapter found = read(std::string("shared/") + day), expected = read(std::string("alone/") + day);
    EXPECT_EQ(found.metadata.identity, expected.metadata.identity) << day;
    EXPECT_LT(relative_error(tensors(found)[0], tensors(expected)[0]), 1e-5) << day;
  }
}

TEST_F(Export, ALowerRankSaysWhatItCosts) {
  ASSERT_EQ(export_note("shine", "full").status, 0);
  const Outcome outcome = export_note("shine", "low", {"--max-rank", "1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("\nshare of the squared singular values that is left out: 0."), std::string::npos)
      << outcome.out;
  const Adapter full = read("full"), low = read("low");
  EXPECT_EQ(low.tree.rank(), 1);
  const auto delta = [](const Adapter& adapter) {
    const LoraWeights& q = adapter.tree.layers[0][Projection::q];
    return q.a[0].to(at::kDouble).mm(q.b[0].to(at::kDouble));
  };
  const at::Tensor values = at::linalg_svdvals(delta(full));
  EXPECT_NEAR((delta(full) - delta(low)).norm().item<double>(), values[1].item<double>(),
              1e-5 * values[0].item<double>());
}

TEST_F(Export, FaultsAreOneClearLineAndNothingIsWritten) {
  const auto expect_fault = [](const Outcome& outcome, const std::string& part) {
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    const auto lines = lines_of(outcome.err);
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.back().find("shine_export: error: "), 0U) << outcome.err;
    EXPECT_NE(lines.back().find(part), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(file("refused")));
  };
  const std::vector<std::string> to{"--format", "peft", "--output", file("refused")};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), to.begin(), to.end());
    return run(arguments);
  };
  expect_fault(with({}), "one of --context, --contexts and --adapter is needed");
  expect_fault(with({"--context", file("note.txt")}), "--checkpoint");
  expect_fault(with({"--checkpoint", file("run"), "--context", file("absent.txt")}), "absent.txt");
  expect_fault(with({"--checkpoint", file("nowhere"), "--context", file("note.txt")}), "no such folder");
  expect_fault(with({"--checkpoint", file("backbone"), "--context", file("note.txt")}), "backbone");
  expect_fault(with({"--adapter", file("nowhere")}), "nowhere");
  expect_fault(with({"--adapter", file("run"), "--over-long", "cut"}), "excludes");
  expect_fault(export_note("peft", "refused", {"--for", "mlx"}),
               "mlx does not read format peft (--format mlx or merged)");
  expect_fault(export_note("merged", "refused", {"--for", "llama.cpp"}), "llama.cpp reads no Hugging Face folder");
  expect_fault(export_note("merged", "refused", {"--dtype", "float16"}), "--dtype: has no effect with --format merged");
  expect_fault(export_note("peft", "refused", {"--max-rank", "0"}), "--max-rank");
  expect_fault(export_note("peft", "refused", {"evaluation.context_max_length=3"}),
               "more than evaluation.context_max_length 3");
  EXPECT_EQ(export_note("peft", "cut", {"evaluation.context_max_length=3", "--over-long", "cut"}).status, 0);
  expect_fault(export_note("peft", "cut"), "exists already");
}

TEST_F(Export, AnAdapterOfAnotherBackboneIsRefusedByName) {
  ASSERT_EQ(export_note("peft", "theirs").status, 0);
  ASSERT_EQ(export_note("merged", "other-backbone").status, 0);
  const std::vector<std::string> arguments{
      "model.path=" + file("other-backbone"), "--adapter", file("theirs"), "--format", "mlx", "--output", file("ours")};
  const Outcome refused = run(arguments);
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("the adapter is for another backbone, " + file("backbone/model")), std::string::npos)
      << refused.err;
  std::vector<std::string> any = arguments;
  any.push_back("--any-backbone");
  const Outcome taken = run(any);
  EXPECT_EQ(taken.status, 0) << taken.err;
}

}  // namespace
}  // namespace shine::test
