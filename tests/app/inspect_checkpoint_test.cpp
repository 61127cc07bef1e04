#include "app/inspect/inspect_checkpoint.h"

#include <cmath>

#include "shine/tensor/torch_tensor.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

TEST(PartStatistics, JoinsTheLayersOfATensor) {
  RawTensorDict tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) { tensors.emplace(name, to_raw(tensor)); };
  add("mem_tokens", at::full({2, 3}, 2.0F));
  add("new_token_rows", at::zeros({1, 3}));
  add("metalora.0.mlp.down.A", at::zeros({1, 4, 2}));
  for (const int layer : {0, 1, 10}) {
    add(str("metalora.", layer, ".attention.q.A"), at::full({1, 4, 2}, 1.0F));
    add(str("metalora.", layer, ".attention.q.B"), at::zeros({1, 2, 4}));
    add(str("metanetwork.transformer_layers.", layer, ".norm1.weight"), at::full({5}, -3.0F));
    add(str("metanetwork.transformer_layers.", layer, ".norm1.bias"), at::full({5}, 4.0).to(at::kBFloat16));
  }
  const std::vector<PartStatistics> parts = part_statistics(tensors);
  std::vector<std::string> names;
  for (const PartStatistics& part : parts) names.push_back(part.name);
  EXPECT_EQ(names, (std::vector<std::string>{"mem_tokens", "metanetwork.transformer_layers.0",
                                             "metanetwork.transformer_layers.1", "metanetwork.transformer_layers.10",
                                             "metalora.attention.q.A", "metalora.attention.q.B", "metalora.mlp.down.A",
                                             "new_token_rows"}));
  EXPECT_EQ(parts[0].parameters, 6);
  EXPECT_NEAR(parts[0].norm, 2.0 * std::sqrt(6.0), 1e-12);
  EXPECT_EQ(parts[1].tensors, 2);
  EXPECT_EQ(parts[1].largest, 4.0);
  EXPECT_NEAR(parts[1].norm, std::sqrt(5.0 * 9 + 5 * 16), 1e-12);
  EXPECT_EQ(parts[4].tensors, 3);
  EXPECT_EQ(parts[4].parameters, 24);
  EXPECT_NEAR(parts[4].norm, std::sqrt(24.0), 1e-12);
  EXPECT_EQ(parts[5].norm, 0.0);
}

TEST(PartStatistics, CountsWhatIsNotFinite) {
  RawTensorDict tensors;
  tensors.emplace("a", to_raw(at::tensor({3.0F, NAN, INFINITY, -4.0F})));
  tensors.emplace("b", to_raw(at::zeros({0, 3})));
  const std::vector<PartStatistics> parts = part_statistics(tensors);
  EXPECT_EQ(parts[0].not_finite, 2);
  EXPECT_NEAR(parts[0].norm, 5.0, 1e-12);
  EXPECT_EQ(parts[0].largest, 4.0);
  EXPECT_EQ(parts[1].parameters, 0);
}

}  // namespace
}  // namespace shine::test
