#pragma once

#include "shine/common/api.h"
#include "shine/nn/module.h"
#include "shine/tensor/lora_weights.h"

namespace shine {

/// y = x W^T + bias, and with a LoRA y = x W^T + bias + (x A) B + C (paper section 3.1).
class SHINE_API LinearImpl : public Module<LinearImpl> {
 public:
  struct Options {
    std::int64_t in = 0, out = 0;
    bool bias = true;
    at::ScalarType compute = at::kFloat;  ///< of the product's operands where x is float32: float32 or bfloat16
  };

  explicit LinearImpl(Options chosen) : options(chosen) { reset(); }
  void reset() override;

  /// @param x  (.., in)
  /// @return   (.., out), in x's dtype
  at::Tensor forward(const at::Tensor& x) const;

  /// @param x      (N, in)
  /// @param lora   null: none
  /// @param spans  (B_l + 1) offsets from 0 to N: tokens [spans[i], spans[i + 1]) use adapter i
  at::Tensor forward(const at::Tensor& x, const LoraWeights* lora, const std::vector<std::int64_t>& spans) const;

  /// PyTorch's first values: weight and bias from U(+-1 / sqrt(in)).
  void initialise(at::Generator& generator);

  void pretty_print(std::ostream& stream) const override;

  Options options;
  at::Tensor weight;  ///< (out, in)
  at::Tensor bias;    ///< (out), undefined: none
};
TORCH_MODULE(Linear);

}  // namespace shine
