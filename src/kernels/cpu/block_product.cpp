#include "kernels/cpu/block_product.h"

#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>

#include <array>

namespace shine::cpu {
namespace {

bool processor_has_vectors() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

bool processor_has_bfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

/// Whether LibTorch was built with block products for this processor: it throws where it was not.
template <class T>
bool product_works(at::ScalarType type) {
  try {
    const at::Tensor a = at::ones({4, 8}, type), b = pack_right(at::ones({8, 4}, type), type), c = at::zeros({4, 4});
    product({.m = 4, .n = 4, .k = 8, .lda = 8, .ldb = 4, .ldc = 4}, data<T>(a), data<T>(b), mutable_data<float>(c));
    return c.eq(8.0F).all().item<bool>();
  } catch (const c10::Error&) {
    return false;
  }
}

bool is_empty(const ProductSizes& sizes) {
  return sizes.m == 0 || sizes.n == 0 || sizes.k == 0;
}

template <class W>
void zero_rows(const ProductSizes& sizes, W* c) {
  if (sizes.accumulate) return;
  for (std::int64_t i = 0; i < sizes.m; ++i) std::fill_n(c + i * sizes.ldc, sizes.n, W(0));
}

}  // namespace

bool kernels_run(at::ScalarType type) {
  static const bool vectors = processor_has_vectors();
  static const bool float_products = vectors && product_works<float>(at::kFloat);
  static const bool bfloat16_products = vectors && processor_has_bfloat16() && product_works<Bf16>(at::kBFloat16);
  switch (type) {
    case at::kFloat: return float_products;
    case at::kBFloat16: return bfloat16_products;
    case at::kDouble: return vectors;
    default: return false;
  }
}

void product(const ProductSizes& s, const float* a, const float* b, float* c) {
  if (is_empty(s)) return zero_rows(s, c);
  at::native::cpublas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.accumulate, a, b, c, /*is_vnni=*/false);
}

void product(const ProductSizes& s, const Bf16* a, const Bf16* b, float* c) {
  if (is_empty(s)) return zero_rows(s, c);
  at::native::cpublas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.accumulate,
                              reinterpret_cast<const at::BFloat16*>(a), reinterpret_cast<const at::BFloat16*>(b), c,
                              /*is_vnni=*/true);
}

void product(const ProductSizes& s, const double* a, const double* b, double* c) {
  zero_rows(s, c);
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t l = 0; l < s.k; ++l) {
      for (std::int64_t j = 0; j < s.n; ++j) c[i * s.ldc + j] += a[i * s.lda + l] * b[l * s.ldb + j];
    }
  }
}

at::Tensor pack_right(const at::Tensor& b, at::ScalarType type) {
  if (type != at::kBFloat16) return b.to(type).contiguous();
  const std::int64_t k = b.size(0), n = b.size(1), padded = padded_inner(k, type);
  at::Tensor rows = b.to(type);
  if (padded != k) rows = at::cat({rows, at::zeros({1, n}, rows.options())});
  return rows.view({padded / 2, 2, n}).transpose(1, 2).contiguous();  // (K / 2, N, 2)
}

}  // namespace shine::cpu
