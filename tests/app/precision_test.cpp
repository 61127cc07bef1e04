#include "app/build/precision.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

ExperimentConfig experiment(WeightDtype dtype, const std::string& path = "nowhere") {
  ExperimentConfig config;
  config.model.dtype = dtype;
  config.model.path = path;
  return config;
}

TEST(Precision, NamedTypesNeedNoFiles) {
  EXPECT_EQ(backbone_type(experiment(WeightDtype::float32).model), at::kFloat);
  EXPECT_EQ(backbone_type(experiment(WeightDtype::bfloat16).model), at::kBFloat16);
}

TEST(Precision, AutoFollowsTheFilesAndBeforeThemConfigJson) {
  const BackboneConfig stored =
      experiment(WeightDtype::automatic, (source_dir() / "configs/tiny-text/backbone").string()).model;
  EXPECT_EQ(backbone_type(stored), at::kFloat);

  const TemporaryFolder folder;
  const BackboneConfig announced = experiment(WeightDtype::automatic, folder.path().string()).model;
  const auto type_of = [&](const char* json) {
    write_bytes(folder.path() / "config.json", json);
    return backbone_type(announced);
  };
  EXPECT_EQ(type_of(R"({"torch_dtype": "bfloat16"})"), at::kBFloat16);
  EXPECT_EQ(type_of(R"({"dtype": "bfloat16"})"), at::kBFloat16);
  EXPECT_EQ(type_of(R"({"torch_dtype": "float16"})"), at::kFloat);
  EXPECT_EQ(type_of("{}"), at::kFloat);
  expect_fault<FormatError>("torch_dtype", [&] { type_of(R"({"torch_dtype": 16})"); });
}

TEST(Precision, IsSaidInWords) {
  const std::string end = "; sums, and what is trained with its gradients and moments, float32\n";
  ExperimentConfig config = experiment(WeightDtype::bfloat16);
  for (const c10::DeviceType device : {c10::DeviceType::CPU, c10::DeviceType::CUDA}) {
    EXPECT_EQ(describe_precision(config, device),
              "precision: backbone bfloat16, products in bfloat16; the hypernetwork's products in bfloat16" + end);
  }
  config.model.dtype = WeightDtype::float32;
  EXPECT_EQ(describe_precision(config, c10::DeviceType::CPU),
            "precision: backbone float32, products in float32; the hypernetwork's products in float32" + end);
  EXPECT_EQ(describe_precision(config, c10::DeviceType::CUDA),
            "precision: backbone float32, products in float32 (a GPU computes them several times as slowly as in "
            "bfloat16: model.dtype=auto, or ops.tf32=true); the hypernetwork's products in float32" +
                end);
  config.ops.tf32 = true;
  EXPECT_EQ(describe_precision(config, c10::DeviceType::CUDA),
            "precision: backbone float32, products in TF32; the hypernetwork's products in TF32" + end);
  config.stage.name = StageName::backbone;
  EXPECT_EQ(describe_precision(config, c10::DeviceType::CPU), "precision: backbone float32, products in float32" + end);
}

}  // namespace
}  // namespace shine::test
