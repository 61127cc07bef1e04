// Runs that an earlier program began (tests/golden/old_run) go on: the same losses, weights, tensor names and files.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "integration/compare_runs.h"
#include "io/torch_format/torch_pickle.h"
#include "shine/common/str.h"
#include "shine/io/safetensors.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The stage's run, copied at step 3 and brought to step 6 by the program of today.
class OldRun : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    fs::copy(golden() / "run", run(), fs::copy_options::recursive);
    const std::string yaml = (golden_dir() / "old_run" / GetParam()).string() + ".yaml";
    const Outcome outcome = run_program("shine_train", {yaml, "run.dir=" + run().string(), "run.max_steps=6"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }

  static fs::path golden() { return golden_dir() / "old_run" / GetParam(); }
  static fs::path expected() { return golden() / "expected"; }
  fs::path run() const { return folder_.path() / "run"; }
  fs::path checkpoint() const { return run() / "checkpoints/step-6"; }
  fs::path published() const { return folder_.path() / "published"; }

 private:
  TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Stages, OldRun, testing::Values("backbone", "pretrain", "ift_mqa"),
                         [](const auto& stage) { return std::string(stage.param); });

/// |a - b| / |b| of float32 tensors.
double relative_error(const RawTensor& a, const RawTensor& b) {
  double difference = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < b.bytes; i += sizeof(float)) {
    float x = 0, y = 0;
    std::memcpy(&x, a.data + i, sizeof x);
    std::memcpy(&y, b.data + i, sizeof y);
    difference += (static_cast<double>(x) - y) * (static_cast<double>(x) - y);
    norm += static_cast<double>(y) * y;
  }
  return std::sqrt(difference / norm);
}

TEST_P(OldRun, HasTheLossesOfTheProgramThatBeganIt) {
  const std::vector<json> found = events_of(run()), wanted = events_of(expected());
  ASSERT_EQ(found.size(), wanted.size());
  std::size_t steps = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (const char* key : {"kind", "step", "set", "labels", "tokens"}) {
      EXPECT_EQ(found[i].value(key, json()), wanted[i].value(key, json())) << i;
    }
    if (!wanted[i].contains("loss")) continue;
    const auto loss = wanted[i]["loss"].get<double>();
    EXPECT_NEAR(found[i]["loss"].get<double>(), loss, 1e-5 * loss) << wanted[i];
    steps += wanted[i]["kind"] == "train" && wanted[i]["step"] > 3;
  }
  EXPECT_EQ(steps, 3U);
}

TEST_P(OldRun, HasTheWeightsOfTheProgramThatBeganIt) {
  const SafetensorsFile found(checkpoint() / "trained.safetensors"), wanted(expected() / "trained.safetensors");
  const SafetensorsFile before(golden() / "run/checkpoints/step-3/trained.safetensors");
  ASSERT_EQ(found.names(), wanted.names());
  for (const std::string& name : wanted.names()) {
    ASSERT_EQ(found.tensor(name).bytes, wanted.tensor(name).bytes) << name;
    EXPECT_LT(relative_error(found.tensor(name), wanted.tensor(name)), 1e-4) << name;
    const bool frozen = GetParam() == std::string("ift_mqa") && name.starts_with("metalora.");
    EXPECT_EQ(relative_error(before.tensor(name), wanted.tensor(name)) > 1e-3, !frozen) << name;
  }
}

TEST_P(OldRun, HasTheTensorNamesOfTheProgramThatBeganIt) {
  std::string lines;
  const auto add = [&](const std::string& file, const std::string& name, const RawTensor& tensor) {
    lines += str(file, ": ", name, " (", join(tensor.shape, ", "), ")\n");
  };
  for (const char* file : {"trained.safetensors", "optimizer.safetensors", "random.safetensors"}) {
    const SafetensorsFile tensors(checkpoint() / file);
    for (const std::string& name : tensors.names()) add(file, name, tensors.tensor(name));
  }
  if (GetParam() != std::string("backbone")) {
    const Outcome converted = run_program("shine_convert", {run().string(), published().string()});
    ASSERT_EQ(converted.status, 0) << converted.err;
    for (const auto& [file, bytes] : snapshot(published())) {
      if (file.ends_with(".json")) {
        lines += file + ":\n";
        continue;
      }
      for (const auto& [name, tensor] : flatten_tensors(read_torch_file(published() / file), file)) {
        add(file, name, tensor);
      }
    }
  }
  EXPECT_EQ(lines, read_bytes(expected() / "tensors.txt"));
}

}  // namespace
}  // namespace shine::test
