#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/block_product.h"
#include "ops/attention.h"
#include "support/gradient_check.h"
#include "support/skip.h"

namespace shine::test {
namespace {

using cpu::AttentionHeads;
using cpu::AttentionRows;
using torch::autograd::variable_list;

struct Case {
  std::vector<std::int64_t> lengths;
  std::int64_t heads = 1, kv_heads = 1, d = 64;
  std::int64_t every = 1;  ///< only every n-th token asks

  std::string text() const {
    return str("rows ", join(lengths, " "), ", heads ", heads, "/", kv_heads, ", d ", d, ", every ", every);
  }
  AttentionHeads attention_heads() const { return {heads, kv_heads, d, 1.3 / std::sqrt(static_cast<double>(d))}; }
  AttentionRows rows() const {
    AttentionRows rows;
    for (const std::int64_t length : lengths) {
      rows.keys.push(length);
      rows.queries.push((length + every - 1) / every);
      for (std::int64_t t = 0; every > 1 && t < length; t += every) rows.positions.push_back(t);
    }
    return rows;
  }
  /// Flat number of the token of each query.
  at::Tensor asking() const {
    std::vector<std::int64_t> tokens;
    std::int64_t start = 0;
    for (const std::int64_t length : lengths) {
      for (std::int64_t t = 0; t < length; t += every) tokens.push_back(start + t);
      start += length;
    }
    return at::tensor(tokens, at::kLong);
  }
  std::vector<at::Tensor> inputs(at::ScalarType type) const {
    const AttentionRows all = rows();
    return {random_leaf({all.queries.tokens(), heads * d}, type, 1),
            random_leaf({all.keys.tokens(), kv_heads * d}, type, 2),
            random_leaf({all.keys.tokens(), kv_heads * d}, type, 3)};
  }
};

class Backend : public torch::autograd::Function<Backend> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const Case* of) {
    const auto result = cpu::attention_forward(q, k, v, of->rows(), of->attention_heads());
    context->save_for_backward({q, k, v, result.out, result.log_sums});
    context->saved_data["case"] = reinterpret_cast<std::int64_t>(of);
    return result.out;
  }
  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto* of = reinterpret_cast<const Case*>(context->saved_data["case"].toInt());
    const auto found = cpu::attention_backward(upstream[0].contiguous(), saved[0], saved[1], saved[2],
                                               {saved[3], saved[4]}, of->rows(), of->attention_heads());
    return {found.q, found.k, found.v, at::Tensor()};
  }
};

TensorFunction backend(const Case& of) {
  return [&of](const std::vector<at::Tensor>& in) { return Backend::apply(in[0], in[1], in[2], &of); };
}

/// The reference, for tokens that are not queries too.
TensorFunction reference(const Case& of) {
  return [&of](const std::vector<at::Tensor>& in) {
    const RowLayout keys = of.rows().keys;
    const at::Tensor asking = of.asking();
    const at::Tensor q = at::zeros({keys.tokens(), in[0].size(1)}, in[0].options()).index_copy(0, asking, in[0]);
    const auto split = [&](const at::Tensor& x, std::int64_t heads) { return x.view({-1, heads, of.d}); };
    return causal_attention_reference(split(q, of.heads), split(in[1], of.kv_heads), split(in[2], of.kv_heads), keys,
                                      {of.attention_heads().scale})
        .reshape({keys.tokens(), of.heads * of.d})
        .index_select(0, asking);
  };
}

const std::vector<Case> kCases{
    {{7}, 1, 1, 16},          {{1}, 2, 1, 64},
    {{63, 64, 65}, 4, 2, 64}, {{0, 200, 0, 2}, 6, 2, 20},
    {{200}, 3, 3, 128},       {{129, 128, 127, 31, 33}, 2, 1, 16},
    {{300, 17}, 4, 2, 32, 3}, {{130, 1, 64}, 2, 2, 64, 2},
    {{500, 70}, 2, 1, 64, 7}, {{0, 0}, 2, 1, 16},
};

class ThreadsGuard {
 public:
  explicit ThreadsGuard(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~ThreadsGuard() { at::set_num_threads(before_); }
  ThreadsGuard(const ThreadsGuard&) = delete;
  ThreadsGuard& operator=(const ThreadsGuard&) = delete;

 private:
  int before_;
};

class AttentionBackend : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!cpu::kernels_run(GetParam())) SHINE_SKIP("avx512", "the CPU backend does not run here");
  }
};

/// What rounding allows, of 1 + the value: of the scores and sums, and of weights and gradients rounded to bfloat16.
double tolerance(at::ScalarType type) {
  return type == at::kDouble ? 1e-11 : (type == at::kFloat ? 1e-5 : 6e-2);
}

TEST_P(AttentionBackend, AgreesWithTheReference) {
  for (const Case& of : kCases) {
    // Gradients in bfloat16 differ by less than 1e-2 of their norm, single ones by 9e-2.
    const double relative = std::min(tolerance(GetParam()), 2.5e-2);
    EXPECT_TRUE(forms_agree(backend(of), reference(of), of.inputs(GetParam()), tolerance(GetParam()), relative))
        << of.text();
  }
}

TEST_P(AttentionBackend, IsAsNearToFloat64AsItsTypeAllows) {
  const double bound = GetParam() == at::kBFloat16 ? 2e-2 : tolerance(GetParam());
  for (const Case& of : kCases) {
    const auto in = of.inputs(GetParam());
    std::vector<at::Tensor> exact;
    for (const at::Tensor& x : in) exact.push_back(leaf(x.to(at::kDouble)));
    EXPECT_TRUE(tensors_match(backend(of)(in), reference(of)(exact), bound)) << of.text();
    const at::Tensor upstream = upstream_of(backend(of)(in));
    const auto gradients = torch::autograd::grad({backend(of)(in)}, in, {upstream});
    const auto expected = torch::autograd::grad({reference(of)(exact)}, exact, {upstream.to(at::kDouble)});
    for (std::size_t i = 0; i < in.size(); ++i) {
      EXPECT_TRUE(gradients_match(gradients[i], expected[i], bound)) << "input " << i << ", " << of.text();
    }
  }
}

TEST_P(AttentionBackend, KeepsTheLogOfTheSums) {
  const Case of{{5, 70}, 2, 1, 16};
  const auto in = of.inputs(GetParam());
  const at::Tensor log_sums = cpu::attention_forward(in[0], in[1], in[2], of.rows(), of.attention_heads()).log_sums;
  const at::Tensor q = in[0].detach().to(at::kDouble).view({-1, 2, 16}), k = in[1].detach().to(at::kDouble);
  for (const std::int64_t token : {std::int64_t{5}, std::int64_t{8}, std::int64_t{74}}) {
    for (const std::int64_t head : {std::int64_t{0}, std::int64_t{1}}) {
      const at::Tensor scores = k.narrow(0, 5, token - 4).mv(q[token][head]) * of.attention_heads().scale;
      EXPECT_TRUE(tensors_match(log_sums[token][head], scores.logsumexp(0), 1e-5)) << token << " " << head;
    }
  }
}

TEST_P(AttentionBackend, StaysFiniteForLargeScores) {
  const Case of{{200}, 2, 1, 64};
  auto in = of.inputs(GetParam());
  in[0] = leaf(in[0] * 300.0);
  const auto gradients = gradients_of(backend(of), in);
  // Scores of some hundreds: their rounding shows in the weights. In bfloat16 it is all that shows.
  if (GetParam() != at::kBFloat16) {
    EXPECT_TRUE(tensors_match(backend(of)(in), reference(of)(in), 2e-4));
  }
  EXPECT_TRUE(backend(of)(in).isfinite().all().item<bool>());
  for (const at::Tensor& gradient : gradients) EXPECT_TRUE(gradient.isfinite().all().item<bool>());
}

TEST_P(AttentionBackend, PassesOnWhatIsNotANumber) {
  const Case of{{70, 70}, 1, 1, 16};
  auto in = of.inputs(GetParam());
  const at::NoGradGuard no_grad;
  in[0] = in[0].clone();
  in[0][40][3] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor found = backend(of)(in).isnan().any(1);
  EXPECT_TRUE(found[40].item<bool>());
  EXPECT_EQ(found.sum().item<std::int64_t>(), 1);
}

TEST_P(AttentionBackend, GivesTheSameOnAnyNumberOfThreads) {
  for (const Case& of : {Case{{300}, 4, 1, 32}, Case{{200, 65, 1, 128, 3}, 6, 2, 16}, Case{{400}, 2, 2, 16, 5}}) {
    const auto run = [&](int threads) {
      const ThreadsGuard guard(threads);
      auto all = gradients_of(backend(of), of.inputs(GetParam()));
      all.push_back(backend(of)(of.inputs(GetParam())));
      return all;
    };
    const auto expected = run(1);
    for (const int threads : {2, 5}) {
      const auto found = run(threads), again = run(threads);
      for (std::size_t i = 0; i < found.size(); ++i) {
        // Sums over several tasks are added in another order, and then rounded once more.
        EXPECT_TRUE(gradients_match(found[i], expected[i], GetParam() == at::kBFloat16 ? 1e-2 : 1e-5)) << threads;
        EXPECT_TRUE(at::equal(found[i], again[i])) << threads << " threads, " << of.text();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionBackend, testing::Values(at::kFloat, at::kBFloat16, at::kDouble),
                         [](const auto& type) { return std::string(c10::toString(type.param)); });

TEST(AttentionBackendGradient, MatchesDifferences) {
  if (!cpu::kernels_run(at::kDouble)) SHINE_SKIP("avx512", "the CPU backend does not run here");
  for (const Case& of : {Case{{3, 1, 4}, 4, 2, 6}, Case{{7, 5}, 2, 1, 4, 2}}) {
    EXPECT_TRUE(gradients_match_differences(backend(of), of.inputs(at::kDouble))) << of.text();
  }
}

}  // namespace
}  // namespace shine::test
