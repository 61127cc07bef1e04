#include "app/build/meta_lora_start.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "app/fixture_experiment.h"
#include "shine/common/error.h"
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

  LoraTree meta_lora() const {
    std::vector<at::Tensor> values;
    for (const NamedTensor& named : hypernetwork_.tensors()) {
      if (named.name.starts_with("metalora.")) values.push_back(named.tensor);
    }
    LoraTree tree;
    const std::size_t of_layer = values.size() / 2;  // two layers
    for (std::size_t layer = 0; layer < 2; ++layer) {
      tree.layers.push_back(lora_layer_of(std::span(values).subspan(layer * of_layer, of_layer)));
    }
    return tree;
  }

  FixtureExperiment fixture_;
  Hypernetwork& hypernetwork_ = *fixture_.experiment.hypernetwork;
};

TEST_F(MetaLoraStart, HasTheAdaptersDeltaAndNewRanksBehindIt) {
  const LoraTree fresh_tree = meta_lora();
  std::vector<at::Tensor> fresh;
  for (const LoraLayer& layer : fresh_tree.layers) fresh.push_back(layer[Projection::q].a.detach().clone());
  const Adapter start = adapter(/*rank=*/3);  // of 4
  start_meta_lora(hypernetwork_, start);
  const LoraTree now = meta_lora();
  for (std::size_t i = 0; i < now.layers.size(); ++i) {
    for (const Projection p : kProjections) {
      const LoraWeights &own = now.layers[i][p], &given = start.tree.layers[i][p];
      EXPECT_TRUE(at::allclose(own.a[0].mm(own.b[0]), given.a[0].mm(given.b[0]), 1e-6, 1e-7));
      EXPECT_EQ(own.b[0][3].abs().max().item<double>(), 0.0);
      EXPECT_GT(own.a[0].select(1, 3).abs().max().item<double>(), 0.0);
    }
    EXPECT_TRUE(now.layers[i][Projection::q].a.select(2, 3).equal(fresh[i].select(2, 3)));
  }
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
