#include "ops/decoder_sublayers.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "ops/attention.h"
#include "ops/lora_linear.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "shine/common/error.h"
#include "support/gradient_check.h"
#include "support/skip.h"

namespace shine::test {
namespace {

constexpr double kEps = 1e-5, kTheta = 100.0;

/// A small decoder layer and a batch for it.
struct Case {
  const char* name;
  std::vector<std::int64_t> lengths;  ///< of the rows
  std::int64_t adapters = 1;          ///< 0: no LoRA
  std::int64_t rank = 3;
  bool biases = false, qk_norm = true;
  std::vector<std::int64_t> chosen = {};  ///< empty: all tokens
  std::int64_t hidden = 12, heads = 4, kv_heads = 2, d = 6, inner = 10;

  RowLayout rows() const {
    RowLayout layout;
    for (const std::int64_t length : lengths) layout.push(length);
    return layout;
  }
  std::int64_t tokens() const { return rows().tokens(); }
  std::vector<std::int64_t> spans() const {
    return adapters == 0 ? std::vector<std::int64_t>{} : rows().adapter_spans(adapters);
  }
  std::vector<std::array<std::int64_t, 2>> attention_sizes() const {
    return {{hidden, heads * d}, {hidden, kv_heads * d}, {hidden, kv_heads * d}, {heads * d, hidden}};
  }
  std::vector<std::array<std::int64_t, 2>> mlp_sizes() const {
    return {{hidden, inner}, {hidden, inner}, {inner, hidden}};
  }
};

const std::vector<Case> kCases{
    {"one row, one adapter", {5}},
    {"no LoRA", {4, 3}, 0},
    {"a shared adapter", {3, 6}, 1},
    {"an adapter a row, an empty row", {3, 0, 4}, 3},
    {"biases and C, no norm on q and k", {5, 2}, 2, 1, true, false},
    {"many tokens", {70, 131}, 2, 2},
    {"some tokens", {6, 5}, 2, 3, true, true, {1, 4, 5, 9}},
    {"no token of a row", {6, 5}, 2, 3, false, true, {7, 10}},
    {"wider than a block of registers", {67}, 1, 5, true, true, {}, 40, 6, 2, 16, 72},
};

/// x, then a, b, c of each projection (undefined where there is none): what gets gradients.
std::vector<at::Tensor> inputs_of(const Case& c, const std::vector<std::array<std::int64_t, 2>>& sizes,
                                  at::ScalarType x_type, at::ScalarType lora_type) {
  std::vector<at::Tensor> all{random_leaf({c.tokens(), c.hidden}, x_type, 1)};
  if (c.adapters == 0) return all;
  std::uint64_t seed = 10;
  const auto small = [&](at::IntArrayRef shape) {
    return (random_tensor(shape, lora_type, seed++) * 0.3).requires_grad_(true);
  };
  for (const auto& [in, out] : sizes) {
    all.push_back(small({c.adapters, in, c.rank}));
    all.push_back(small({c.adapters, c.rank, out}));
    all.push_back(c.biases ? small({c.adapters, out}) : at::Tensor());
  }
  return all;
}

at::Tensor weight_of(std::array<std::int64_t, 2> size, std::uint64_t seed, at::ScalarType type) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(size[0]));
  return (random_tensor({size[1], size[0]}, at::kDouble, seed) * scale).to(type);
}

at::Tensor norm_of(std::int64_t size, std::uint64_t seed, at::ScalarType type) {
  return (random_tensor({size}, at::kDouble, seed) * 0.2 + 1.0).to(type);
}

at::Tensor bias_of(const Case& c, std::int64_t size, std::uint64_t seed, at::ScalarType type) {
  return c.biases ? random_tensor({size}, type, seed) : at::Tensor();
}

std::vector<LoraWeights> lora_of(const std::vector<at::Tensor>& in) {
  return lora_weights_of(std::span(in).subspan(1));
}

/// One projection by the reference; `p` counts the sub-layer's projections.
at::Tensor project(const Case& c, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const std::vector<at::Tensor>& in, std::size_t p, const std::vector<std::int64_t>& spans) {
  if (c.adapters == 0) {
    const at::Tensor y = x.matmul(weight.t());
    return bias.defined() ? y + bias : y;
  }
  return lora_linear_reference({x, weight, bias, in[1 + 3 * p], in[2 + 3 * p], in[3 + 3 * p], spans});
}

at::Tensor index_of(const Case& c) {
  return at::tensor(c.chosen, at::TensorOptions().dtype(at::kLong));
}

/// How the sub-layers are computed.
struct How {
  SublayerBackend backend = SublayerBackend::cpu;
  SavedActivations save = SavedActivations::all;
  bool masked = false;  ///< adapters, as on a GPU
  AttentionLayout attention = AttentionLayout::per_row;
};

TensorFunction attention_form(const Case& c, const How& how) {
  return [c, how](const std::vector<at::Tensor>& in) {
    const auto type = in[0].scalar_type();
    auto weights = std::make_shared<AttentionWeights>();
    weights->backend = how.backend;
    weights->norm = prepare_norm(how.backend, norm_of(c.hidden, 50, type));
    if (c.qk_norm) {
      weights->q_norm = prepare_norm(how.backend, norm_of(c.d, 51, type));
      weights->k_norm = prepare_norm(how.backend, norm_of(c.d, 52, type));
    }
    for (std::size_t p = 0; p < 4; ++p) {
      const auto size = c.attention_sizes()[p];
      weights->linear[p] =
          prepare_linear(how.backend, weight_of(size, 60 + p, type), bias_of(c, size[1], 70 + p, type));
    }
    weights->heads = c.heads;
    weights->kv_heads = c.kv_heads;
    weights->head_dim = c.d;
    weights->eps = kEps;
    const auto batch = make_sublayer_batch(how.backend, c.rows(),
                                           {type, at::kCPU, how.attention, c.d, kTheta, c.adapters, how.masked});
    const auto chosen = c.chosen.empty() ? nullptr : choose_tokens(*batch, index_of(c));
    return attention_sublayer(weights, in[0], lora_of(in), batch, chosen, how.save);
  };
}

TensorFunction attention_reference_form(const Case& c) {
  return [c](const std::vector<at::Tensor>& in) {
    const auto type = in[0].scalar_type();
    const at::Tensor normed = rms_norm_reference(in[0], norm_of(c.hidden, 50, type), kEps);
    const auto of = [&](const at::Tensor& x, std::size_t p) {
      const auto size = c.attention_sizes()[p];
      return project(c, x, weight_of(size, 60 + p, type), bias_of(c, size[1], 70 + p, type), in, p, c.spans());
    };
    at::Tensor q = of(normed, 0).view({c.tokens(), c.heads, c.d}),
               k = of(normed, 1).view({c.tokens(), c.kv_heads, c.d});
    const at::Tensor v = of(normed, 2).view({c.tokens(), c.kv_heads, c.d});
    if (c.qk_norm) {
      q = rms_norm_reference(q, norm_of(c.d, 51, type), kEps);
      k = rms_norm_reference(k, norm_of(c.d, 52, type), kEps);
    }
    const RopeTable table = make_rope_table(c.rows().positions(at::kCPU), c.d, kTheta, type);
    const at::Tensor attn_out =
        causal_attention_reference(apply_rope_reference(q, table), apply_rope_reference(k, table), v, c.rows(),
                                   {.scale = 1.0 / std::sqrt(static_cast<double>(c.d))});
    const at::Tensor y = in[0] + of(attn_out.reshape({c.tokens(), c.heads * c.d}), 3);
    return c.chosen.empty() ? y : y.index_select(0, index_of(c));
  };
}

TensorFunction mlp_form(const Case& c, const How& how) {
  return [c, how](const std::vector<at::Tensor>& in) {
    const auto type = in[0].scalar_type();
    auto weights = std::make_shared<MlpWeights>();
    weights->backend = how.backend;
    weights->norm = prepare_norm(how.backend, norm_of(c.hidden, 50, type));
    weights->eps = kEps;
    for (std::size_t p = 0; p < 3; ++p) {
      const auto size = c.mlp_sizes()[p];
      weights->linear[p] =
          prepare_linear(how.backend, weight_of(size, 60 + p, type), bias_of(c, size[1], 70 + p, type));
    }
    if (c.adapters == 0) return mlp_sublayer(weights, in[0], {}, {}, how.save);
    const TokenAdapters adapters = how.masked ? TokenAdapters::masked(c.rows(), c.adapters, at::kCPU, type)
                                              : TokenAdapters::of(c.rows(), c.adapters);
    return mlp_sublayer(weights, in[0], lora_of(in), adapters, how.save);
  };
}

TensorFunction mlp_reference_form(const Case& c) {
  return [c](const std::vector<at::Tensor>& in) {
    const auto type = in[0].scalar_type();
    const at::Tensor normed = rms_norm_reference(in[0], norm_of(c.hidden, 50, type), kEps);
    const auto of = [&](const at::Tensor& x, std::size_t p) {
      const auto size = c.mlp_sizes()[p];
      return project(c, x, weight_of(size, 60 + p, type), bias_of(c, size[1], 70 + p, type), in, p, c.spans());
    };
    return in[0] + of(swiglu_reference(of(normed, 0), of(normed, 1)), 2);
  };
}

/// Largest error relative to the largest value.
double error_of(const at::Tensor& found, const at::Tensor& expected) {
  if (expected.numel() == 0) return 0.0;
  const at::Tensor wanted = expected.detach().to(at::kDouble);
  return ((found.detach().to(at::kDouble) - wanted).abs().max() / (wanted.abs().max() + 1e-3)).item<double>();
}

std::vector<at::Tensor> widened(const std::vector<at::Tensor>& in) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& each : in) result.push_back(each.defined() ? leaf(each.detach().to(at::kDouble)) : each);
  return result;
}

/// In bfloat16 neither form is exact: the fused one must be as near to float64 as the readable one is, which rounds
/// after every operation.
void expect_as_exact_as_reference(const TensorFunction& fused, const TensorFunction& readable,
                                  const std::vector<at::Tensor>& in, const char* name) {
  const auto reference = widened(in);
  EXPECT_LE(error_of(fused(in), readable(reference)), 1.5 * error_of(readable(in), readable(reference)) + 4e-3) << name;
  const auto exact = gradients_of(readable, reference), by_readable = gradients_of(readable, in),
             found = gradients_of(fused, in);
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!exact[i].defined()) continue;
    EXPECT_EQ(found[i].scalar_type(), in[i].scalar_type()) << name;
    EXPECT_LE(error_of(found[i], exact[i]), 1.5 * error_of(by_readable[i], exact[i]) + 1.2e-2)
        << name << ", input " << i;
  }
}

/// By each backend.
class DecoderSublayers : public testing::TestWithParam<SublayerBackend> {
 protected:
  bool runs(at::ScalarType type) const {
    return GetParam() == SublayerBackend::torch || cpu_backend_runs(type, at::kCPU);
  }

  /// With this backend, in all that it can do otherwise.
  std::vector<How> ways() const {
    std::vector<How> all;
    for (const SavedActivations save : {SavedActivations::all, SavedActivations::input_only}) {
      all.push_back({GetParam(), save});
      if (GetParam() == SublayerBackend::cpu) continue;
      all.push_back({GetParam(), save, /*masked=*/true, AttentionLayout::padded});
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, DecoderSublayers, testing::Values(SublayerBackend::cpu, SublayerBackend::torch),
                         [](const auto& tested) {
                           return std::string(tested.param == SublayerBackend::cpu ? "Cpu" : "Torch");
                         });

TEST_P(DecoderSublayers, FormsAgree) {
  if (!runs(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  for (const Case& c : kCases) {
    for (const How& how : ways()) {
      const auto attention = inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble);
      EXPECT_TRUE(forms_agree(attention_form(c, how), attention_reference_form(c), attention, 1e-11)) << c.name;
      const auto mlp = inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble);
      EXPECT_TRUE(forms_agree(mlp_form(c, how), mlp_reference_form(c), mlp, 1e-11)) << c.name;
    }
  }
}

TEST_P(DecoderSublayers, FormsAgreeInFloat32) {
  if (!runs(at::kFloat)) SHINE_SKIP("avx512", "no AVX-512");
  for (const Case& c : kCases) {
    const auto attention = inputs_of(c, c.attention_sizes(), at::kFloat, at::kFloat);
    EXPECT_TRUE(forms_agree(attention_form(c, {GetParam()}), attention_reference_form(c), attention, 3e-5)) << c.name;
    const auto mlp = inputs_of(c, c.mlp_sizes(), at::kFloat, at::kFloat);
    EXPECT_TRUE(forms_agree(mlp_form(c, {GetParam()}), mlp_reference_form(c), mlp, 3e-5)) << c.name;
  }
}

TEST_P(DecoderSublayers, Bfloat16IsAsExactAsTheReference) {
  if (!runs(at::kBFloat16)) SHINE_SKIP("avx512", "no bf16 instructions");
  for (const Case& c : kCases) {
    for (const How& how : ways()) {
      expect_as_exact_as_reference(attention_form(c, how), attention_reference_form(c),
                                   inputs_of(c, c.attention_sizes(), at::kBFloat16, at::kFloat), c.name);
      expect_as_exact_as_reference(mlp_form(c, how), mlp_reference_form(c),
                                   inputs_of(c, c.mlp_sizes(), at::kBFloat16, at::kFloat), c.name);
    }
  }
}

TEST_P(DecoderSublayers, GradientsMatchDifferences) {
  if (!runs(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  for (const Case& c : kCases) {
    if (c.tokens() > 20) continue;
    for (const How& how : ways()) {
      EXPECT_TRUE(gradients_match_differences(attention_form(c, how),
                                              inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble)))
          << c.name;
      EXPECT_TRUE(gradients_match_differences(mlp_form(c, how), inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble)))
          << c.name;
    }
  }
}

/// Frozen inputs (the conversation's embeddings) and frozen adapters get no gradient, and change none of the others.
TEST_P(DecoderSublayers, OnlyWhatAsksGetsAGradient) {
  if (!runs(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  const Case& c = kCases[2];
  auto attention = inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble);
  auto mlp = inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble);
  for (auto* in : {&attention, &mlp}) {
    (*in)[0] = (*in)[0].detach();
    (*in)[4] = (*in)[4].detach();
  }
  const How how{GetParam()};
  EXPECT_TRUE(forms_agree(attention_form(c, how), attention_reference_form(c), attention, 1e-11));
  EXPECT_TRUE(forms_agree(mlp_form(c, how), mlp_reference_form(c), mlp, 1e-11));
  for (auto* in : {&attention, &mlp}) {  // all adapters frozen
    for (at::Tensor& each : *in) each = each.defined() ? each.detach() : each;
    (*in)[0].requires_grad_(true);
  }
  EXPECT_TRUE(forms_agree(attention_form(c, how), attention_reference_form(c), attention, 1e-11));
  EXPECT_TRUE(forms_agree(mlp_form(c, how), mlp_reference_form(c), mlp, 1e-11));
  const at::NoGradGuard no_gradient;
  EXPECT_TRUE(tensors_match(mlp_form(c, how)(mlp), mlp_reference_form(c)(mlp), 1e-11));
  EXPECT_TRUE(tensors_match(attention_form(c, how)(attention), attention_reference_form(c)(attention), 1e-11));
  EXPECT_FALSE(attention_form(c, how)(attention).requires_grad());
}

TEST_P(DecoderSublayers, AnyNumberOfThreadsGivesTheSame) {
  if (!runs(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  const int threads = at::get_num_threads();
  for (const Case& c : kCases) {
    for (const int count : {1, 3}) {
      at::set_num_threads(count);
      EXPECT_TRUE(forms_agree(mlp_form(c, {GetParam()}), mlp_reference_form(c),
                              inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble), 1e-11))
          << c.name;
      EXPECT_TRUE(forms_agree(attention_form(c, {GetParam()}), attention_reference_form(c),
                              inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble), 1e-11))
          << c.name;
    }
    at::set_num_threads(threads);
  }
}

TEST_P(DecoderSublayers, WhatIsChangedBeforeTheBackwardIsRefused) {
  if (!runs(at::kDouble)) SHINE_SKIP("avx512", "no AVX-512");
  const Case& c = kCases[0];
  const auto backward_is_refused = [](const TensorFunction& form, const std::vector<at::Tensor>& in,
                                      std::size_t changed) {
    const at::Tensor loss = form(in).sum();
    {
      const at::NoGradGuard no_gradient;
      in[changed].mul_(2.0);
    }
    try {
      loss.backward();
    } catch (const c10::Error&) {
      return true;
    }
    return false;
  };
  for (const How& how : ways()) {
    for (const std::size_t changed : {0U, 2U, 4U}) {  // x, B of the first projection, A of the second
      const auto attention = inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble);
      EXPECT_TRUE(backward_is_refused(attention_form(c, how), attention, changed)) << changed;
      const auto mlp = inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble);
      EXPECT_TRUE(backward_is_refused(mlp_form(c, how), mlp, changed)) << changed;
    }
  }
}

TEST_P(DecoderSublayers, RefusesABatchThatIsNotItsOwn) {
  const Case& c = kCases[0];
  const auto in = inputs_of(c, c.attention_sizes(), at::kDouble, at::kDouble);
  AttentionWeights weights;
  weights.backend = GetParam();
  for (std::size_t p = 0; p < 4; ++p) {
    weights.linear[p] = prepare_linear(GetParam(), weight_of(c.attention_sizes()[p], 60 + p, at::kDouble), {});
  }
  const auto shared = std::make_shared<const AttentionWeights>(weights);
  const auto other = GetParam() == SublayerBackend::cpu ? SublayerBackend::torch : SublayerBackend::cpu;
  const PassShape shape{at::kDouble, at::kCPU, AttentionLayout::per_row, c.d, kTheta};
  RowLayout longer;
  longer.push(c.tokens() + 1);
  for (const auto& batch :
       {make_sublayer_batch(GetParam(), longer, shape), make_sublayer_batch(other, c.rows(), shape)}) {
    EXPECT_THROW(attention_sublayer(shared, in[0], {}, batch, nullptr, SavedActivations::all), ShapeError);
  }
}

TEST_P(DecoderSublayers, RefusesALoraOfTooManyProjections) {
  const Case& c = kCases[0];
  const auto in = inputs_of(c, c.mlp_sizes(), at::kDouble, at::kDouble);
  MlpWeights weights;
  weights.backend = GetParam();
  for (std::size_t p = 0; p < 3; ++p) {
    weights.linear[p] = prepare_linear(GetParam(), weight_of(c.mlp_sizes()[p], 60 + p, at::kDouble), {});
  }
  std::vector<LoraWeights> lora = lora_of(in);
  lora.push_back(lora.front());
  EXPECT_THROW(mlp_sublayer(std::make_shared<const MlpWeights>(weights), in[0], lora,
                            TokenAdapters::of(c.rows(), c.adapters), SavedActivations::all),
               ShapeError);
}

TEST(SublayerAdapters, TheMaskIsThatOfTheSpans) {
  RowLayout rows;
  for (const std::int64_t length : {2, 0, 3, 1}) rows.push(length);
  const TokenAdapters adapters = TokenAdapters::masked(rows, 4, at::kCPU, at::kFloat);
  EXPECT_EQ(adapters.spans, (std::vector<std::int64_t>{0, 2, 2, 5, 6}));
  const at::Tensor expected = at::zeros({6, 4});
  for (const auto& [token, adapter] :
       std::vector<std::pair<int, int>>{{0, 0}, {1, 0}, {2, 2}, {3, 2}, {4, 2}, {5, 3}}) {
    expected[token][adapter] = 1.0;
  }
  EXPECT_TRUE(at::equal(adapters.mask, expected));
  EXPECT_FALSE(TokenAdapters::masked(rows, 1, at::kCPU, at::kFloat).mask.defined()) << "one adapter hides nothing";
}

TEST(SublayerAdapters, ChosenTokensMustRise) {
  RowLayout rows;
  rows.push(4);
  const auto batch =
      make_sublayer_batch(SublayerBackend::torch, rows, {at::kFloat, at::kCPU, AttentionLayout::per_row, 4, kTheta});
  EXPECT_THROW(choose_tokens(*batch, at::tensor({2, 1}, at::kLong)), ShapeError);
  EXPECT_THROW(choose_tokens(*batch, at::tensor({1, 4}, at::kLong)), ShapeError);
}

}  // namespace
}  // namespace shine::test
