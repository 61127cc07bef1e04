// Broken and lying files given to the programs: one line on standard error with the file, the place and what to do, a
// non-zero exit status, and an end within seconds.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "integration/tiny_run.h"

namespace shine::test {
namespace {

void expect_one_line(const Outcome& outcome, const std::string& program, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  std::vector<std::string> lines = lines_of(outcome.err);
  std::erase_if(lines, [](const std::string& line) { return line.find(" info ") == 8; });
  ASSERT_EQ(lines.size(), 1U) << outcome.err;
  EXPECT_EQ(lines[0].find(program + ": error: "), 0U) << lines[0];
  EXPECT_LT(lines[0].size(), 1000U) << lines[0];
  for (const std::string& part : parts) EXPECT_NE(lines[0].find(part), std::string::npos) << part << " / " << lines[0];
}

/// A safetensors file: 8 bytes length, header, data.
std::string tensor_file(const std::string& header, std::size_t data_bytes) {
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  return file + header + std::string(data_bytes, '\0');
}

/// The text with one part replaced.
std::string changed(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("nothing to change: " + from);
  return text.replace(at, from.size(), to);
}

class HostileFiles : public testing::Test {
 protected:
  static void SetUpTestSuite() { tiny_ = new TinyRun(); }
  static void TearDownTestSuite() { delete tiny_; }

  /// Training with a model folder that holds config.json and these files.
  static Outcome train_with_model(const std::map<std::string, std::string>& files) {
    const std::string model = tiny_->file("model");
    std::filesystem::remove_all(model);
    write_bytes(model + "/config.json", tiny_decoder_json());
    for (const auto& [name, content] : files) write_bytes(model + "/" + name, content);
    return tiny_->train("pretrain.yaml", {"model.path=" + model, "text.tokenizer=" + tiny_->file("tokenizer")});
  }

  static Outcome tokenize_with(const std::string& tokenizer) {
    write_bytes(tiny_->file("changed/tokenizer.json"), tokenizer);
    return run_program("shine_tokenize", {"--tokenizer", tiny_->file("changed")});
  }

  static TinyRun* tiny_;
};

TinyRun* HostileFiles::tiny_ = nullptr;

TEST_F(HostileFiles, Safetensors) {
  const std::string entry = R"("dtype":"F32","shape":[2],"data_offsets":)";
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {std::string(8, '\xff'), {"18446744073709551615 bytes"}},
      {tensor_file("{}", 0).substr(0, 9), {"cut short"}},
      {tensor_file("{\"a\":{" + entry + "[0,8]},\"b\":{" + entry + "[4,12]}}", 12), {"\"b\"", "overlap"}},
      {tensor_file("{\"a\":{" + entry + "[8,16]}}", 8), {"\"a\"", "outside the file"}},
      {tensor_file(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0), {"overflows"}},
  };
  for (const auto& [bytes, parts] : table) {
    const Outcome outcome = train_with_model({{"model.safetensors", bytes}});
    expect_one_line(outcome, "shine_train", {"model/model.safetensors"});
    expect_one_line(outcome, "shine_train", parts);
  }
  expect_one_line(train_with_model({{"model.safetensors.index.json", R"({"weight_map": {"a": "../x"}})"}}),
                  "shine_train", {"model.safetensors.index.json", "not a plain file name"});
}

TEST_F(HostileFiles, DecoderConfig) {
  const std::string cut = changed(tiny_decoder_json(), "\"vocab_size\"", std::string(12, '\0'));
  expect_one_line(train_with_model({{"config.json", cut}}), "shine_train", {"model/config.json:4:"});
  const std::string family = changed(tiny_decoder_json(), "\"qwen3\"", "\"\\n\\u001b[2J\"");
  expect_one_line(train_with_model({{"config.json", family}}), "shine_train",
                  {"use a qwen3, qwen2, llama, mistral, smollm3 or olmo2 model"});
}

TEST_F(HostileFiles, PublishedCheckpoint) {
  const std::filesystem::path fixture = golden_dir() / "fixtures" / "base_0";
  const std::string sound = read_bytes(fixture / "checkpoint/mem_tokens.pt");
  const std::string folder = tiny_->file("published");
  std::filesystem::copy(fixture / "checkpoint", folder);
  std::string flipped = sound;
  const std::size_t data = sound.find("mem_tokens/data/0") + 100;
  flipped[data] = static_cast<char>(flipped[data] ^ 1);
  const std::vector<std::pair<std::string, std::string>> table = {
      {sound.substr(0, sound.size() - 10), "no zip end record"},
      {flipped, "CRC-32"},
      {"", "too short for a zip file"},
  };
  for (const auto& [bytes, part] : table) {
    write_bytes(folder + "/mem_tokens.pt", bytes);
    const Outcome outcome = tiny_->train(
        "pretrain.yaml", {"model.path=" + (fixture / "backbone").string(), "text.tokenizer=" + tiny_->file("tokenizer"),
                          "stage.init_from=" + folder, "hypernetwork.m2p.heads=2", "hypernetwork.m2p.feedforward=128"});
    expect_one_line(outcome, "shine_train", {"published/mem_tokens.pt", part});
  }
}

TEST_F(HostileFiles, Tokenizer) {
  const std::string sound = read_bytes(tiny_->file("tokenizer/tokenizer.json"));
  EXPECT_EQ(tokenize_with(sound).status, 0);
  const std::vector<std::pair<std::string, std::string>> table = {
      {sound.substr(0, sound.size() / 2), "tokenizer.json:"},
      {sound + std::string(4, '\0'), "a zero byte"},
      {changed(sound, "\"vocab\"", "\"vocabulary\""), "key \"vocab\" is missing"},
      {changed(sound, "\"model\"", "\"model\":{},\"model\""), "duplicate key \"model\""},
      {changed(sound, "\"<|endoftext|>\"", "\"<|other|>\",\"content\":\"a\""), "duplicate key \"content\""},
      {changed(sound, "\"!\": 0", "\"!\": 1"), "two tokens have the id 1"},
      {changed(sound, "\"!\": 0", "\"!\": 2000000000"), "ids up to 2000000000"},
      {changed(sound, "\"merges\": [", "\"merges\": [[\"!\", \"absent\"],"), "merges[0]"},
  };
  for (const auto& [text, part] : table) {
    expect_one_line(tokenize_with(text), "shine_tokenize", {"changed/tokenizer.json", part});
  }
}

TEST_F(HostileFiles, Configuration) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"run:\n\tdir: a\n", "hostile.yaml:2: tab in the indentation (use spaces)"},
      {"run: {dir: \xff}\n", "hostile.yaml:1: a byte that is not UTF-8"},
      {"base: pretrain.yaml\nrun: &a\n  seed: 1\n", "hostile.yaml:2: anchors and aliases are not supported"},
      {"run: " + std::string(100'000, '['), "hostile.yaml:1: nested deeper"},
      {"base: hostile.yaml\n", "hostile.yaml:1: base file"},
  };
  for (const auto& [text, part] : table) {
    write_bytes(tiny_->file("hostile.yaml"), text);
    expect_one_line(run_program("shine_train", {tiny_->file("hostile.yaml"), "--check"}), "shine_train", {part});
  }
}

TEST_F(HostileFiles, TextsForTheTokenizer) {
  std::string lines;
  for (int i = 0; i < 6; ++i) lines += "{\"text\": \"a\"}\n";
  const auto prepare = [&](const std::string& line) {
    write_bytes(tiny_->file("texts.jsonl"), lines + line + "\n" + lines);
    return run_program("shine_prepare", {"tokenizer", "--input", tiny_->file("texts.jsonl"), "--vocab-size", "300",
                                         "--output", tiny_->file("learnt")});
  };
  for (const std::string line :
       {"{\"text\": \"cut", "{\"text\": [", "[1]", "{\"text\": null}", "{\"text\": \"\xff\"}"}) {
    expect_one_line(prepare(line), "shine_prepare", {"texts.jsonl:7"});
  }
}

}  // namespace
}  // namespace shine::test
