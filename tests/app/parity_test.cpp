#include "app/verify/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "io/files/text_file.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"
#include "shine/tensor/torch_tensor.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using Json = nlohmann::json;
using Names = std::set<std::string>;

std::filesystem::path fixture(const std::string& name) {
  return golden_dir() / "fixtures" / name;
}

std::vector<std::filesystem::path> all_fixtures() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / "fixtures")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// What check_parity reported.
struct Report {
  std::map<std::string, ParityRow> rows;
  bool passed = false;

  Names failed() const {
    Names names;
    for (const auto& [name, row] : rows) {
      if (!row.passed()) names.insert(name);
    }
    return names;
  }
};

Report check(const std::filesystem::path& folder, const ParityOptions& options = {}) {
  Report report;
  report.passed = check_parity(folder, options, single_process(), [&](const ParityRow& row) {
    EXPECT_TRUE(report.rows.emplace(row.name, row).second) << "reported twice: " << row.name;
  });
  EXPECT_EQ(report.passed, report.failed().empty());
  return report;
}

/// A copy of a fixture that a test may change.
class FixtureCopy {
 public:
  explicit FixtureCopy(const std::string& name) {
    std::filesystem::copy(fixture(name), path(), std::filesystem::copy_options::recursive);
  }
  std::filesystem::path path() const { return folder_.path() / "fixture"; }

  /// Rewrites expected.safetensors with `move` applied to a copy of every tensor.
  void move_expected(const std::function<void(const std::string&, at::Tensor&)>& move) const {
    const auto file_path = path() / "expected.safetensors";
    NamedRawTensors tensors;
    {
      const SafetensorsFile file(file_path);
      for (const std::string& name : file.names()) {
        at::Tensor tensor = to_tensor(file.tensor(name)).clone();
        move(name, tensor);
        tensors.emplace_back(name, to_raw(tensor));
      }
    }
    write_safetensors(file_path, tensors);
  }

  void edit_json(const std::function<void(Json&)>& edit) const {
    Json json = Json::parse(read_text_file(path() / "fixture.json"));
    edit(json);
    write_file_atomically(path() / "fixture.json", json.dump());
  }

 private:
  TemporaryFolder folder_;
};

Names expected_names(const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / "expected.safetensors");
  return {file.names().begin(), file.names().end()};
}

/// Moves a tensor by 1e-3 of its norm; one of zeros by 1e-3.
void move(at::Tensor& tensor) {
  if (at::isIntegralType(tensor.scalar_type(), /*includeBool=*/true)) {
    tensor.flatten()[0] += 1;
  } else if (tensor.norm().item<double>() > 0) {
    tensor.mul_(1 + 1e-3);
  } else {
    tensor.fill_(1e-3 / std::sqrt(static_cast<double>(tensor.numel())));
  }
}

TEST(Parity, EveryNumberOfEveryFixtureIsReproduced) {
  const auto folders = all_fixtures();
  EXPECT_GE(folders.size(), 10U);
  for (const auto& folder : folders) {
    const Report report = check(folder);
    EXPECT_EQ(report.failed(), Names{}) << folder;
    for (const std::string& name : expected_names(folder)) {
      EXPECT_TRUE(report.rows.contains(name)) << folder << ": " << name << " was not compared";
    }
    const Json json = Json::parse(read_text_file(folder / "fixture.json"));
    const std::size_t steps = json.contains("steps") ? json["steps"].size() : 0;
    std::size_t step_rows = 0;
    for (const auto& [name, row] : report.rows) step_rows += name.starts_with("step ") ? 1 : 0;
    EXPECT_EQ(step_rows, steps * (1 + 2 + 3)) << folder << ": learning rate, losses, group norms";
  }
}

TEST(Parity, StepsWhoseMicroBatchesShareAPassReproduceTheNumbersToo) {
  for (const auto& folder : all_fixtures()) {
    const Report report = check(folder, {.pass_tokens = 100000});
    EXPECT_EQ(report.failed(), Names{}) << folder;
  }
}

TEST(Parity, BFloat16PassesItsWiderTolerances) {
  for (const char* name : {"base_0", "backbone_llama_1"}) {
    const Report report = check(fixture(name), {.dtype = "bfloat16"});
    EXPECT_EQ(report.failed(), Names{}) << name;
    EXPECT_FALSE(report.rows.contains("greedy"));
  }
  EXPECT_THROW(check(fixture("base_0"), {.dtype = "float16"}), ConfigError);
}

class MovedFixtures : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, MovedFixtures,
                         testing::Values("base_0", "linear_ll_4", "extra_metalora_6", "backbone_llama_1",
                                         "family_qwen2", "family_olmo2"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(MovedFixtures, EveryTensorMovedByAThousandthFailsAndNoOther) {
  Names moved_once;
  for (const int parity : {0, 1}) {
    const FixtureCopy copy(GetParam());
    Names moved, zeros;
    int index = 0;
    copy.move_expected([&](const std::string& name, at::Tensor& tensor) {
      if (index++ % 2 != parity) return;
      if (tensor.abs().max().item<double>() == 0) zeros.insert(name);
      move(tensor);
      moved.insert(name);
    });
    const Report report = check(copy.path());
    EXPECT_EQ(report.passed, moved.empty());
    EXPECT_EQ(report.failed(), moved);
    for (const std::string& name : moved) {
      const double error = report.rows.at(name).error;
      if (name != "greedy" && !zeros.contains(name)) {
        EXPECT_NEAR(error, 1e-3, 5e-5) << name;
      }
    }
    moved_once.merge(moved);
  }
  EXPECT_EQ(moved_once, expected_names(fixture(GetParam())));
}

TEST(Parity, TheKeyBiasAloneIsLeftOut) {
  const FixtureCopy copy("base_0");
  Names others;
  copy.move_expected([&](const std::string& name, at::Tensor& tensor) {
    if (!name.ends_with("in_proj_bias")) return;
    tensor.chunk(3)[1].add_(1.0);
  });
  EXPECT_TRUE(check(copy.path()).passed);
  copy.move_expected([&](const std::string& name, at::Tensor& tensor) {
    if (!name.ends_with("in_proj_bias")) return;
    at::Tensor part = tensor.chunk(3)[others.size() % 2 == 0 ? 0 : 2];  // the query's or the value's
    part[0] += 1.0;
    others.insert(name);
  });
  EXPECT_EQ(check(copy.path()).failed(), others);
}

TEST(Parity, AMovedLossLearningRateOrNormFails) {
  const auto scale = [](Json& value) { value = value.get<double>() * (1 + 1e-3); };
  for (const char* name : {"base_0", "extra_metalora_6"}) {
    const FixtureCopy copy(name);
    Names moved;
    copy.edit_json([&](Json& json) {
      for (std::size_t i = 0; i < json["steps"].size(); ++i) {
        Json& step = json["steps"][i];
        const std::string prefix = "step " + std::to_string(i);
        if (i % 3 == 0) {
          scale(step["losses"][i % 2]);
          moved.insert(prefix + " loss " + std::to_string(i % 2));
        } else if (i % 3 == 1) {
          scale(step["learning_rate"]);
          moved.insert(prefix + " learning rate");
        } else {
          constexpr const char* groups[] = {"m2p", "m2p_no_decay", "meta_lora"};
          scale(step["group_norms"][i % 3 == 2 ? (i / 3) % 3 : 0]);
          moved.insert(prefix + " norm of " + groups[(i / 3) % 3]);
        }
      }
    });
    EXPECT_EQ(check(copy.path()).failed(), moved) << name;
  }
}

TEST(Parity, ATensorOfAnotherShapeOrNotANumberFails) {
  const FixtureCopy copy("backbone_llama_1");
  copy.move_expected([](const std::string&, at::Tensor& tensor) { tensor.fill_(std::nan("")); });
  EXPECT_FALSE(check(copy.path()).passed);
}

/// The message of the error that a folder gives; it must be one of ours, in one line.
std::string error_of(const std::filesystem::path& folder) {
  try {
    check_parity(folder, {}, single_process(), [](const ParityRow&) {});
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Parity, AMissingFileIsNamed) {
  for (const char* file : {"fixture.json", "inputs.safetensors", "expected.safetensors", "backbone/config.json",
                           "backbone/model.safetensors", "checkpoint/mem_tokens.pt", "checkpoint/metanetwork.pth",
                           "checkpoint/metalora.pth"}) {
    const FixtureCopy copy("base_0");
    std::filesystem::remove(copy.path() / file);
    const std::string text = error_of(copy.path());
    const std::string name = std::filesystem::path(file).filename();
    EXPECT_NE(text.find(name == "model.safetensors" ? "backbone" : name), std::string::npos) << file << ": " << text;
  }
  EXPECT_NE(error_of("/nonexistent").find("/nonexistent/fixture.json"), std::string::npos);
}

TEST(Parity, ABrokenDescriptionIsAClearError) {
  const FixtureCopy copy("base_0");
  const std::string whole = read_text_file(copy.path() / "fixture.json");
  const auto expect_error = [&](const std::string& part, const std::function<void(Json&)>& edit) {
    write_file_atomically(copy.path() / "fixture.json", whole);
    copy.edit_json(edit);
    const std::string text = error_of(copy.path());
    EXPECT_NE(text.find(part), std::string::npos) << part << ": " << text;
  };
  for (const char* key : {"lora_r", "meta_lora_r", "scale", "method", "m2p", "training"}) {
    expect_error(key, [&](Json& json) { json.erase(key); });
    expect_error(key, [&](Json& json) { json[key] = Json::array(); });
  }
  for (const char* key : {"type", "num_layers", "nhead", "dim_feedforward", "layer_transformer_first"}) {
    expect_error(key, [&](Json& json) { json["m2p"].erase(key); });
    expect_error(key, [&](Json& json) { json["m2p"][key] = Json::object(); });
  }
  for (const char* key : {"learning_rate", "betas", "eps", "weight_decay", "clip", "clip_norm", "loss_average",
                          "accumulation", "warmup_steps", "total_steps", "train_memory_embeddings"}) {
    expect_error(key, [&](Json& json) { json["training"].erase(key); });
    expect_error(key, [&](Json& json) { json["training"][key] = nullptr; });
  }
  for (const char* key : {"losses", "group_norms", "learning_rate"}) {
    expect_error(key, [&](Json& json) { json["steps"][3].erase(key); });
  }
  expect_error("method", [](Json& json) { json["method"] = "xx"; });
  expect_error("type", [](Json& json) { json["m2p"]["type"] = "mamba"; });
  expect_error("betas", [](Json& json) { json["training"]["betas"] = {0.9}; });
  expect_error("fixture.json", [](Json& json) { json["training"]["betas"] = {"a", "b"}; });
  expect_error("fixture.json", [](Json& json) { json["steps"][0]["losses"] = {"a"}; });
  expect_error("loss_average", [](Json& json) { json["training"]["loss_average"] = "median"; });
  expect_error("losses", [](Json& json) { json["steps"][0]["losses"] = {1.0, 2.0, 3.0}; });
  expect_error("group_norms", [](Json& json) { json["steps"][0]["group_norms"] = {1.0, 2.0, 3.0, 4.0}; });
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 60}) {
    expect_error("lora_r", [&](Json& json) { json["lora_r"] = value; });
    expect_error("meta_lora_r", [&](Json& json) { json["meta_lora_r"] = value; });
    expect_error("accumulation", [&](Json& json) { json["training"]["accumulation"] = value; });
    expect_error("num_layers", [&](Json& json) { json["m2p"]["num_layers"] = value; });
  }
  expect_error("losses", [](Json& json) { json["training"]["accumulation"] = 3; });
  expect_error("heads", [](Json& json) { json["m2p"]["nhead"] = 3; });
  expect_error("do not fit", [](Json& json) { json["lora_r"] = 3; });
  for (const char* text : {"", "{", "[]", "null", "{\"lora_r\": 2, \"lora_r\": 2}"}) {
    write_file_atomically(copy.path() / "fixture.json", text);
    EXPECT_NE(error_of(copy.path()).find("fixture.json"), std::string::npos) << text;
  }
}

/// The exit status of shine_verify; its output lies in `log`.
int verify(const std::string& arguments, const std::filesystem::path& log) {
  const std::string command = (bin_dir() / "shine_verify").string() + " " + arguments + " > " + log.string() + " 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(VerifyProgram, ExitStatusTellsWhetherAllHold) {
  const TemporaryFolder folder;
  const auto log = folder.path() / "log";
  const std::string good = fixture("backbone_llama_1"), other = fixture("backbone_qwen3_2");
  EXPECT_EQ(verify(good + " " + other, log), 0);
  std::string text = read_text_file(log);
  EXPECT_NE(text.find("backbone_logits"), std::string::npos) << text;
  EXPECT_NE(text.find("tolerance"), std::string::npos) << text;
  EXPECT_NE(text.find(other + ": 1 compared, 0 failed"), std::string::npos) << text;

  const FixtureCopy moved("backbone_llama_1");
  moved.move_expected([](const std::string&, at::Tensor& tensor) { move(tensor); });
  EXPECT_NE(verify(moved.path().string() + " " + other, log), 0) << "the last folder's success must not hide it";
  text = read_text_file(log);
  EXPECT_NE(text.find("FAIL backbone_logits"), std::string::npos) << text;
  EXPECT_NE(text.find("1 compared, 1 failed"), std::string::npos) << text;

  EXPECT_NE(verify("--quiet /nonexistent", log), 0);
  text = read_text_file(log);
  EXPECT_NE(text.find("/nonexistent/fixture.json"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(verify("", log), 0);
}

}  // namespace
}  // namespace shine::test
