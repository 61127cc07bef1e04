#include "ops/kernel_checks.h"

#include <ATen/ATen.h>

#include <array>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/torch/attention.h"
#include "kernels/torch/rms_norm.h"
#include "kernels/torch/rope.h"
#include "ops/agreement.h"
#include "ops/attention.h"
#include "ops/graphed_function.h"
#include "ops/kernel_verdicts.h"
#include "ops/linear_cross_entropy.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/common/str.h"
#include "shine/tensor/device.h"

namespace shine {
namespace {

constexpr double kEps = 1e-6;
constexpr std::array kTypes{at::kFloat, at::kBFloat16};

/// Of the forms' norms. bfloat16 keeps 8 bits, and the forms round in different places.
double tolerance(at::ScalarType type) {
  return type == at::kFloat ? 1e-4 : 4e-2;
}

FormInputs inputs_on(at::Device device, at::ScalarType type, const std::vector<std::vector<std::int64_t>>& shapes) {
  FormInputs inputs = form_inputs(shapes);
  for (at::Tensor& input : inputs) input = input.to(device, type);
  return inputs;
}

/// forms_agree with the kernel in the second form.
bool agree(CudaKernel kernel, const Form& readable, const Form& fused, const FormInputs& inputs,
           const std::vector<at::Tensor>& parameters = {}) {
  const KernelUnderCheck check(kernel);
  return forms_agree(str("GPU kernel: ", name_of(kernel)), readable, fused, inputs, parameters,
                     tolerance(inputs[0].scalar_type()));
}

bool rms_norm_agrees(at::Device device) {
  bool all = true;
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t width : {72, 1024}) {
      const Form readable = [](const FormInputs& in) { return in[0] + rms_norm_reference(in[0], in[1], kEps); };
      const Form fused = [](const FormInputs& in) { return in[0] + rms_norm(in[0], in[1], kEps); };
      all = all && agree(CudaKernel::rms_norm, readable, fused, inputs_on(device, type, {{33, width}, {width}}));
    }
  }
  return all;
}

bool rope_agrees(at::Device device) {
  bool all = true;
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t d : {64, 128}) {
      const RopeTable table =
          make_rope_table(at::arange(9, at::TensorOptions().dtype(at::kLong).device(device)), d, 1e4, type);
      const at::Tensor weight = inputs_on(device, type, {{d}})[0];
      const Form readable = [&](const FormInputs& in) {
        return apply_rope_reference(rms_norm_reference(in[0], weight, kEps), table) +
               apply_rope_reference(in[0], table);
      };
      const Form fused = [&](const FormInputs& in) {
        return torch_kernels::norm_rope(in[0], weight, table, kEps) + apply_rope(in[0], table);
      };
      all = all && agree(CudaKernel::rope, readable, fused, inputs_on(device, type, {{9, 4, d}}));
    }
  }
  return all;
}

bool swiglu_agrees(at::Device device) {
  bool all = true;
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t width : {71, 3072}) {
      all = all && agree(
                       CudaKernel::swiglu, [](const FormInputs& in) { return swiglu_reference(in[0], in[1]); },
                       [](const FormInputs& in) { return swiglu(in[0], in[1]); },
                       inputs_on(device, type, {{9, width}, {9, width}}));
    }
  }
  return all;
}

bool cross_entropy_agrees(at::Device device) {
  bool all = true;
  for (const at::ScalarType type : kTypes) {
    for (const std::int64_t vocabulary : {99, 8192}) {
      const at::Tensor weight = inputs_on(device, type, {{vocabulary, 24}})[0];
      const at::Tensor targets =
          at::arange(9, at::TensorOptions().dtype(at::kLong).device(device)).mul(7).remainder(vocabulary);
      all = all && agree(
                       CudaKernel::cross_entropy,
                       [&](const FormInputs& in) { return linear_cross_entropy_reference(in[0], weight, targets); },
                       [&](const FormInputs& in) { return linear_cross_entropy(in[0], weight, targets); },
                       inputs_on(device, type, {{9, 24}}));
    }
  }
  return all;
}

constexpr std::int64_t kFlatValues = (1 << 14) + 77;  // a chunk and a bit

CudaOptimizer flat_optimizer(at::Device device, double weight_decay) {
  return {{{0, 0, kFlatValues, 0, 0}}, {0}, {weight_decay}, device};
}

bool gradient_norm_agrees(at::Device device) {
  constexpr double scale = 0.5;
  return agree(
      CudaKernel::gradient_norm,
      [&](const FormInputs& in) { return (in[0].detach() * scale).square().sum(at::kDouble); },
      [&](const FormInputs& in) { return flat_optimizer(device, 0.0).squares(in[0].detach(), scale).sum(); },
      inputs_on(device, at::kFloat, {{kFlatValues}}));
}

bool adamw_agrees(at::Device device) {
  constexpr double rate = 0.02, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0.3, limit = 0.5;
  constexpr std::int64_t step = 3;
  const auto copies = [](const FormInputs& in) {  // values, gradients, moments
    return FormInputs{in[0].detach().clone(), in[1].detach(), in[2].detach().clone(), in[3].detach().square()};
  };
  const Form readable = [&](const FormInputs& in) {
    const FormInputs made = copies(in);
    const at::Tensor squares = made[1].square().sum(at::kDouble);
    const at::Tensor gradient = made[1] * (limit / (squares.sqrt() + 1e-6)).to(at::kFloat).clamp_max(1.0);
    const at::Tensor first = beta1 * made[2] + (1.0 - beta1) * gradient,
                     second = beta2 * made[3] + (1.0 - beta2) * gradient.square();
    const at::Tensor moved =
        first / (1.0 - std::pow(beta1, step)) / ((second / (1.0 - std::pow(beta2, step))).sqrt() + eps);
    return at::cat({made[0] * (1.0 - rate * decay) - rate * moved, first, second});
  };
  const Form fused = [&](const FormInputs& in) {
    const FormInputs made = copies(in);
    CudaOptimizer optimizer = flat_optimizer(device, decay);
    optimizer.set_factors(made[1].to(at::kDouble).square().sum().view({1}), ClipKind::global, 1.0, limit);
    optimizer.update({made[0], made[1], made[2], made[3]}, {rate, beta1, beta2, eps, step});
    return at::cat({made[0], made[2], made[3]});
  };
  return agree(CudaKernel::adamw, readable, fused,
               inputs_on(device, at::kFloat, {{kFlatValues}, {kFlatValues}, {kFlatValues}, {kFlatValues}}));
}

bool packed_attention_agrees(at::Device device) {
  bool all = true;
  const RowLayout rows{{0, 40, 41, 170}};
  for (const std::int64_t d : {64, 128}) {
    const double scale = 1.0 / std::sqrt(static_cast<double>(d));
    const KernelUnderCheck check(CudaKernel::packed_attention);
    const PackedRows packed = pack_rows(rows, AttentionLayout::padded, device, at::kBFloat16, d);
    all = all &&
          agree(
              CudaKernel::packed_attention,
              [&](const FormInputs& in) {
                return causal_attention_reference(in[0], in[1], in[2], rows, {.scale = scale});
              },
              [&](const FormInputs& in) { return torch_kernels::causal_attention(in[0], in[1], in[2], packed, scale); },
              inputs_on(device, at::kBFloat16, {{170, 4, d}, {170, 2, d}, {170, 2, d}}));
  }
  return all;
}

/// Work that is captured, and runs again on other values.
bool decoding_graph_agrees(at::Device device) {
  const at::Tensor weight = inputs_on(device, at::kFloat, {{16, 16}})[0];
  const at::Tensor given = at::zeros({4, 16}, weight.options()), made = at::zeros_like(given);
  GraphedWork work({[&] { made.copy_(at::softmax(given.mm(weight), -1)); }}, device, /*capture=*/true);
  const auto fused = [&](const FormInputs& in) {
    given.copy_(in[0].detach());
    work.run();
    return made.clone();
  };
  return agree(
      CudaKernel::decoding_graph, [&](const FormInputs& in) { return at::softmax(in[0].detach().mm(weight), -1); },
      fused, inputs_on(device, at::kFloat, {{4, 16}}));
}

/// A function and its backward, captured for two sizes.
bool m2p_graph_agrees(at::Device device) {
  const at::Tensor weight = inputs_on(device, at::kFloat, {{16, 16}})[0].requires_grad_(true);
  const auto function_of = [](const at::Tensor& leaf) {
    return GraphedFunction::Function([leaf](const at::Tensor& x) { return at::gelu(x.mm(leaf)); });
  };
  GraphedFunction graphed(function_of(weight), [&] {
    const at::Tensor own = weight.detach().requires_grad_(true);
    return GraphedFunction::Replica{function_of(own), {own}};
  });
  bool all = true;
  for (const std::int64_t rows : {5, 3, 5}) {
    all = all && agree(
                     CudaKernel::m2p_graph, [&](const FormInputs& in) { return function_of(weight)(in[0]); },
                     [&](const FormInputs& in) { return graphed(in[0], {weight}); },
                     inputs_on(device, at::kFloat, {{rows, 16}}), {weight});
  }
  return all;
}

/// A kernel that reads or writes past its memory leaves errors behind in all that follows.
void require_usable(at::Device device, CudaKernel kernel) {
  try {
    at::zeros({1}, at::TensorOptions().device(device)).to(at::kCPU);
  } catch (const c10::Error& error) {
    throw UnsupportedError(
        str("the check of a kernel, ", name_of(kernel), ", has left it unusable: ", error.what_without_backtrace()),
        device.str(), "run again with ops.fused=off, and report it");
  }
}

}  // namespace

std::vector<KernelCheck> cuda_kernel_checks() {
  return {{CudaKernel::rms_norm, rms_norm_agrees},
          {CudaKernel::rope, rope_agrees},
          {CudaKernel::swiglu, swiglu_agrees},
          {CudaKernel::cross_entropy, cross_entropy_agrees},
          {CudaKernel::gradient_norm, gradient_norm_agrees},
          {CudaKernel::adamw, adamw_agrees},
          {CudaKernel::packed_attention, packed_attention_agrees},
          {CudaKernel::decoding_graph, decoding_graph_agrees},
          {CudaKernel::m2p_graph, m2p_graph_agrees}};
}

void run_kernel_checks(const std::vector<KernelCheck>& checks, at::Device device, KernelVerdicts& verdicts) {
  std::string on, off;
  for (const auto& [kernel, agrees] : checks) {
    bool passed = verdicts.holds(kernel);
    if (!passed) {
      try {
        passed = outside_inference_mode([&] { return agrees(device); });
      } catch (const std::exception& error) {
        const std::string what = error.what();
        log_warning(str("GPU kernel: ", name_of(kernel), ": its check failed: ", what.substr(0, what.find('\n'))));
      }
      if (!passed && device.is_cuda()) require_usable(device, kernel);
      if (passed) verdicts.add(kernel);
    }
    set_passed(kernel, passed);
    std::string& list = passed ? on : off;
    list += str(list.empty() ? "" : ", ", name_of(kernel));
  }
  if (!on.empty()) log_info(str("GPU kernels that agree with their references on ", device.str(), ": ", on));
  if (!off.empty()) log_warning(str("GPU kernels that are off, because their check failed: ", off));
}

void check_cuda_kernels(at::Device device) {
  if (!device.is_cuda() || fused_ops() != FusedOps::automatic) return;
  const std::string build = cuda_build(device);
  if (build.empty()) return;  // without kernels
  KernelVerdicts verdicts(KernelVerdicts::file_of_user(), build);
  run_kernel_checks(cuda_kernel_checks(), device, verdicts);
}

at::Device open_device(const std::string& name) {
  const at::Device device = parse_device(name);
  check_cuda_kernels(device);
  return device;
}

}  // namespace shine
