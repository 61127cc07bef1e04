#pragma once

#include <ATen/core/Tensor.h>

#include "lora/lora_diagnostics.h"
#include "shine/lora/lora_tree.h"

namespace shine {

// Measures of the change A B that a LoRA makes to a weight, without forming it. The bias term C is left out. All are
// computed in float64 and given on the CPU.

/// Inner products (B_l, B_l) of the changes of one projection: <A_i B_i, A_j B_j> is the sum over all elements of the
/// r x r matrices (A_i^T A_j) * (B_i B_j^T).
at::Tensor delta_inner_products(const LoraWeights& weights);

/// Singular values of A B, largest first, (B_l, min(in, r, out)): those of R_A R_B^T, where A = Q_A R_A and
/// B^T = Q_B R_B.
at::Tensor delta_singular_values(const LoraWeights& weights);

/// exp of the entropy of the singular values divided by their sum (Roy and Vetterli, EUSIPCO 2007): n where n are
/// equal and the others 0; 0 where all are.
/// @param singular_values  (n)
double effective_rank(const at::Tensor& singular_values);

/// Of B vectors, from their inner products (B, B).
Agreement agreement_of(const at::Tensor& inner_products);

/// @param loras         B adapters
/// @param vectors       (B, n): what they were cut from
/// @param weight_norms  (L, 7): Frobenius norms of the adapted weights
/// Throws ShapeError unless the numbers of adapters and layers fit.
LoraDiagnostics diagnose_loras(const LoraTree& loras, const at::Tensor& vectors, const at::Tensor& weight_norms);

}  // namespace shine
