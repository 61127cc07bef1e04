#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace shine {

/// One of several adapted linear maps of the same x; shapes as in LoraLinearInput, bias and C may be undefined.
struct LoraMap {
  at::Tensor weight, bias;
  at::Tensor a, b, c;
};

/// q, k and v, or gate and up: maps of one x with one partition of the tokens among B_l adapters.
struct LoraLinearGroupInput {
  at::Tensor x;  ///< (N, in)
  std::vector<LoraMap> maps;
  std::vector<std::int64_t> spans;  ///< (B_l + 1), as in LoraLinearInput
  at::Tensor adapter_of_token;      ///< (N), int64, on x's device, equal to the spans; undefined: made from them
};

/// How the small products of several adapters are computed.
enum class AdapterProducts {
  per_adapter,  ///< one product a span: no work is wasted, best on a CPU
  masked,       ///< all adapters side by side, (in, B_l r), what is another's set to zero: few launches, best on a GPU
};

/// (N) on the device: which adapter each token uses.
at::Tensor adapter_of_token(const std::vector<std::int64_t>& spans, at::Device device);

/// The outputs of lora_linear for every map, with one product x A for all of them and one for the gradient of x.
/// Hand-written backward that keeps x, A, B and x A. Throws ShapeError when the operands do not fit together.
std::vector<at::Tensor> lora_linear_group(const LoraLinearGroupInput& input, AdapterProducts products);

/// masked off the CPU, per_adapter on it.
std::vector<at::Tensor> lora_linear_group(const LoraLinearGroupInput& input);

/// lora_linear_plain for every map: the plain twin.
std::vector<at::Tensor> lora_linear_group_plain(const LoraLinearGroupInput& input);

}  // namespace shine
