// Training passes of the M2P on a GPU: as CUDA graphs and as single launches.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "gpu/gpu_test.h"
#include "hypernetwork/graphed_m2p.h"
#include "train/graph_steps.h"

namespace shine::test {
namespace {

class GpuM2pGraph : public GpuTest {
 protected:
  /// By kind of network; couple layers need whole tokens of H = 16.
  static M2pConfig config(M2pKind kind) {
    M2pConfig made = tiny_options().config.m2p;
    made.kind = kind;
    made.couple_layers = kind == M2pKind::transformer ? 1 : 0;
    made.mean_pool_size = 2;
    made.linear_hidden = 12;
    return made;
  }
  static M2pShape shape() { return M2pShape::of(tiny_config().lora_spec(), /*rank=*/16, /*hidden_size=*/16); }
  static at::Tensor states(std::int64_t contexts, std::uint64_t seed) {
    return random_tensor({contexts, 2, 464, 16}, seed).to(gpu());
  }
  /// A network and how its passes run.
  struct Network {
    std::shared_ptr<MemoryToParams> module;
    std::unique_ptr<GraphedM2p> graphed;  ///< null: by single launches

    at::Tensor forward(const at::Tensor& given) const {
      return graphed ? graphed->forward(given) : module->forward(given);
    }
    void change() const {
      const at::NoGradGuard no_grad;
      for (const at::Tensor& parameter : module->parameters()) parameter.mul_(0.95);
    }
  };

  static Network network(M2pKind kind, at::ScalarType compute, bool recompute, bool captured) {
    const auto make = [=] { return make_memory_to_params(config(kind), shape(), recompute, compute); };
    Network made{make(), nullptr};
    std::uint64_t seed = 40;
    for (const at::Tensor& parameter : made.module->parameters()) {
      set_values(parameter, (random_tensor(parameter.sizes().vec(), ++seed) * 0.3).to(gpu()));
    }
    made.module->to(gpu());  // buffers
    if (captured) made.graphed = std::make_unique<GraphedM2p>(made.module, make);
    return made;
  }
  /// The vector, then the gradients of the states and of all parameters, on the CPU.
  static std::vector<at::Tensor> train_once(const Network& network, const at::Tensor& given) {
    std::vector<at::Tensor> wanted = network.module->parameters();
    wanted.insert(wanted.begin(), given.detach().clone().requires_grad_(true));
    const at::Tensor vector = network.forward(wanted[0]);
    std::vector<at::Tensor> found{vector.detach().to(at::kCPU)};
    for (const at::Tensor& gradient : torch::autograd::grad({vector.square().mean()}, wanted)) {
      found.push_back(gradient.to(at::kCPU));
    }
    return found;
  }
};

TEST_F(GpuM2pGraph, PassesAreThoseOfSingleLaunches) {
  for (const M2pKind kind : {M2pKind::transformer, M2pKind::linear, M2pKind::lineargate}) {
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      for (const bool recompute : {false, true}) {
        const auto captured = network(kind, compute, recompute, true), plain = network(kind, compute, recompute, false);
        const double tolerance = compute == at::kFloat ? 1e-5 : 2e-2;
        for (std::uint64_t step = 0; step < 4; ++step) {
          const at::Tensor given = states(step % 2 == 0 ? 2 : 1, step + 1);  // two captures by turns
          const auto found = train_once(captured, given), expected = train_once(plain, given);
          for (std::size_t i = 0; i < expected.size(); ++i) {
            EXPECT_LT(relative_error(found[i], expected[i]), tolerance) << "step " << step << ", tensor " << i;
            note_difference(found[i], expected[i]);
          }
          captured.change();
          plain.change();
        }
      }
    }
  }
}

TEST_F(GpuM2pGraph, GradientsAddUpAndPendingForwardsStay) {
  const auto captured = network(M2pKind::transformer, at::kFloat, false, true);
  const auto plain = network(M2pKind::transformer, at::kFloat, false, false);
  for (const Network* each : {&captured, &plain}) {
    each->forward(states(2, 1)).square().mean().backward();
    const at::Tensor first = each->forward(states(2, 2)), second = each->forward(states(2, 3));
    first.square().mean().backward();
    second.square().mean().backward();
  }
  const auto found = named_tensors(*captured.module), expected = named_tensors(*plain.module);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(relative_error(found[i].tensor.grad(), expected[i].tensor.grad()), 1e-5) << expected[i].name;
  }
}

TEST_F(GpuM2pGraph, TrainingStepsAreThoseOfSingleLaunches) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const GraphSteps found = take_graph_steps(CudaGraph::on, gpu(), dtype);
    const GraphSteps expected = take_graph_steps(CudaGraph::off, gpu(), dtype);
    const double tolerance = dtype == at::kFloat ? 1e-4 : 2e-2;
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      EXPECT_NEAR(found.losses[i] / expected.losses[i], 1.0, tolerance) << i;
    }
    for (std::size_t i = 0; i < expected.trained.size(); ++i) {
      EXPECT_LT(relative_error(found.trained[i].tensor, expected.trained[i].tensor), tolerance)
          << expected.trained[i].name;
    }
  }
}

}  // namespace
}  // namespace shine::test
