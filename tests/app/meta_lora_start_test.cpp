#include "app/build/meta_lora_start.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "app/fixture_experiment.h"
#include "shine/common/error.h"
#include "shine/common/str.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

class MetaLoraStart : public testing::Test {
 protected:
  MetaLoraStart() { hypernetwork_.initialise(3); }

  Adapter adapter(std::int64_t rank) const {
    at::Generator generator = at::detail::createCPUGenerator(5);
    Adapter made{make_meta_lora(hypernetwork_.shape().spec, rank, /*scale=*/0.02, generator), {}, "made"};
    for (LoraLayer& layer : made.tree.layers) {
      for (LoraWeights& map : layer.projections) map.b.normal_(0.0, 0.1, generator);
    }
    return made;
  }

  at::Tensor parameter(std::size_t layer, Projection p, const char* part) const {
    const std::string group = p >= Projection::gate ? "mlp" : "attention";
    const std::string name = str("metalora.", layer, ".", group, ".", name_of(p), ".", part);
    for (const NamedTensor& named : hypernetwork_.tensors()) {
      if (named.name == name) return named.tensor.detach()[0];
    }
    ADD_FAILURE() << name;
    return {};
  }

  FixtureExperiment fixture_;
  Hypernetwork& hypernetwork_ = *fixture_.experiment.hypernetwork;
};

TEST_F(MetaLoraStart, HasTheAdaptersDeltaAndNewRanksBehindIt) {
  const at::Tensor fresh = parameter(1, Projection::down, "A").clone();
  const Adapter start = adapter(/*rank=*/3);  // of 4
  start_meta_lora(hypernetwork_, start);
  for (std::size_t layer = 0; layer < start.tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights& given = start.tree.layers[layer][p];
      const at::Tensor a = parameter(layer, p, "A"), b = parameter(layer, p, "B");
      EXPECT_TRUE(at::allclose(a.mm(b), given.a[0].mm(given.b[0]), 1e-5, 1e-7));
      EXPECT_EQ(b[3].abs().max().item<double>(), 0.0);
    }
  }
  EXPECT_TRUE(parameter(1, Projection::down, "A").select(1, 3).equal(fresh.select(1, 3))) << "of the new ranks";
  EXPECT_GT(fresh.select(1, 3).abs().max().item<double>(), 0.0);
}

TEST_F(MetaLoraStart, ATermWithoutAPlaceIsRefused) {
  Adapter start = adapter(/*rank=*/2);
  LoraWeights& map = start.tree.layers[1][Projection::up];
  map.c = at::zeros({1, map.b.size(2)});
  start_meta_lora(hypernetwork_, start);
  map.c[0][1] = 0.5;
  expect_fault<UnsupportedError>("stage.meta_lora_from: made: 1.mlp.up.C is not zero",
                                 [&] { start_meta_lora(hypernetwork_, start); });
}

TEST_F(MetaLoraStart, IsReadFromAnyFormatAndHasAtMostItsRank) {
  const TemporaryFolder scratch;
  ExperimentConfig& config = fixture_.experiment.config;
  config.stage.meta_lora_from = (scratch.path() / "peft").string();
  write_adapter(config.stage.meta_lora_from, adapter(/*rank=*/4), fixture_.experiment.decoder->config(), {});
  EXPECT_EQ(read_meta_lora_start(config).tree.rank(), 4);
  config.hypernetwork.meta_lora_rank = 3;
  expect_fault<ConfigError>("has rank 4, more than the Meta-LoRA's 3 (set hypernetwork.meta_lora_rank=4)",
                            [&] { read_meta_lora_start(config); });
}

}  // namespace
}  // namespace shine::test
