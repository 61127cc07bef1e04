// Matrix products of cuBLAS and cuBLASLt: checked and counted.
#include <cublasLt.h>
#include <cublas_v2.h>

#include <algorithm>
#include <cstring>

#include "fake_cuda/machine.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

namespace {

/// A matrix as it lies in memory, by columns.
struct Matrix {
  cudaDataType_t type;
  std::int64_t rows, columns, leading;
  std::int64_t batch = 1, stride = 0;
};

std::int64_t bytes_of(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_64F: return 8;
    case CUDA_R_32F: return 4;
    default: return 2;  // those with 16 bits: others are refused by known_types
  }
}

bool known_types(cudaDataType_t factors, cudaDataType_t product, cublasComputeType_t compute) {
  if (factors == CUDA_R_64F) return product == CUDA_R_64F;
  if (factors == CUDA_R_32F) return product == CUDA_R_32F;
  if (factors != CUDA_R_16BF && factors != CUDA_R_16F) return false;
  return (product == factors || product == CUDA_R_32F) && compute != CUBLAS_COMPUTE_64F;
}

std::string size_of(const Matrix& matrix) {
  return std::to_string(matrix.rows) + "x" + std::to_string(matrix.columns) + " by " + std::to_string(matrix.leading);
}

bool lies_on_device(const void* pointer, const Matrix& matrix) {
  if (matrix.rows == 0 || matrix.columns == 0 || matrix.batch == 0) return true;
  const std::int64_t last = (matrix.batch - 1) * matrix.stride + (matrix.columns - 1) * matrix.leading + matrix.rows;
  const fake_cuda::Memory memory = fake_cuda::find_memory(pointer);
  return memory.where == fake_cuda::Where::device &&
         memory.left >= static_cast<std::size_t>(last * bytes_of(matrix.type));
}

struct Product {
  const void *a, *b;
  void* c;
  Matrix of_a, of_b, of_c;
  bool turn_a, turn_b;
  cublasComputeType_t compute;
};

cublasStatus_t multiply(const Product& product, cudaStream_t stream, const std::string& more = "") {
  const fake_cuda::Lock lock;
  const auto& [a, b, c, of_a, of_b, of_c, turn_a, turn_b, compute] = product;
  const std::int64_t m = turn_a ? of_a.columns : of_a.rows, k = turn_a ? of_a.rows : of_a.columns;
  const std::int64_t inner = turn_b ? of_b.columns : of_b.rows, n = turn_b ? of_b.rows : of_b.columns;
  const std::string what = std::string(turn_a ? "T" : "N") + (turn_b ? "T" : "N") + " m " + std::to_string(m) + " n " +
                           std::to_string(n) + " k " + std::to_string(k) + " batch " + std::to_string(of_c.batch) +
                           " types " + std::to_string(of_a.type) + " " + std::to_string(of_c.type) + more;
  const bool shapes =
      k == inner && of_c.rows == m && of_c.columns == n && of_a.batch == of_c.batch && of_b.batch == of_c.batch;
  const bool leading = std::ranges::all_of(std::initializer_list<Matrix>{of_a, of_b, of_c}, [](const Matrix& each) {
    return each.rows >= 0 && each.columns >= 0 && each.leading >= std::max<std::int64_t>(each.rows, 1);
  });
  if (!shapes || !leading) {
    fake_cuda::broken_rule("a product of " + size_of(of_a) + " and " + size_of(of_b) + " to " + size_of(of_c) + ": " +
                           what);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (of_a.type != of_b.type || !known_types(of_a.type, of_c.type, compute)) {
    fake_cuda::broken_rule("a product of types that cuBLAS lacks: " + what);
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (!lies_on_device(a, of_a) || !lies_on_device(b, of_b) || !lies_on_device(c, of_c)) {
    fake_cuda::broken_rule("a product reaches past the device's memory: " + what);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const bool here = fake_cuda::add_work("product", what, fake_cuda::resolve(stream));
  return here ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

struct Sizes {
  cublasOperation_t a, b;
  std::int64_t m, n, k;
  std::int64_t batch = 1;
};

Matrix stored(cublasOperation_t operation, std::int64_t rows, std::int64_t columns, cudaDataType_t type,
              std::int64_t leading, std::int64_t batch, std::int64_t stride) {
  if (operation != CUBLAS_OP_N) std::swap(rows, columns);
  return {type, rows, columns, leading, batch, stride};
}

/// One operand: where it lies, its type, its leading dimension, its stride from one product of a batch to the next.
struct Operand {
  const void* data;
  cudaDataType_t type;
  std::int64_t leading, stride = 0;
};

cublasStatus_t gemm(cublasHandle_t handle, const Sizes& sizes, const Operand& a, const Operand& b, const Operand& c,
                    cublasComputeType_t compute) {
  const Product product{a.data,
                        b.data,
                        const_cast<void*>(c.data),
                        stored(sizes.a, sizes.m, sizes.k, a.type, a.leading, sizes.batch, a.stride),
                        stored(sizes.b, sizes.k, sizes.n, b.type, b.leading, sizes.batch, b.stride),
                        stored(CUBLAS_OP_N, sizes.m, sizes.n, c.type, c.leading, sizes.batch, c.stride),
                        sizes.a != CUBLAS_OP_N,
                        sizes.b != CUBLAS_OP_N,
                        compute};
  return multiply(product, handle->stream);
}

}  // namespace

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  *mode = handle->math;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  *mode = handle->pointers;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  handle->pointers = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void*, const void* a, cudaDataType_t type_a, int lda, const void* b,
                            cudaDataType_t type_b, int ldb, const void*, void* c, cudaDataType_t type_c, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t) {
  return gemm(handle, {ta, tb, m, n, k}, {a, type_a, lda}, {b, type_b, ldb}, {c, type_c, ldc}, compute);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m,
                                          int n, int k, const void*, const void* a, cudaDataType_t type_a, int lda,
                                          long long stride_a, const void* b, cudaDataType_t type_b, int ldb,
                                          long long stride_b, const void*, void* c, cudaDataType_t type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  return gemm(handle, {ta, tb, m, n, k, batch}, {a, type_a, lda, stride_a}, {b, type_b, ldb, stride_b},
              {c, type_c, ldc, stride_c}, compute);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                              const float*, const float* a, int lda, const float* b, int ldb, const float*, float* c,
                              int ldc) {
  return gemm(handle, {ta, tb, m, n, k}, {a, CUDA_R_32F, lda}, {b, CUDA_R_32F, ldb}, {c, CUDA_R_32F, ldc},
              CUBLAS_COMPUTE_32F);
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                              const double*, const double* a, int lda, const double* b, int ldb, const double*,
                              double* c, int ldc) {
  return gemm(handle, {ta, tb, m, n, k}, {a, CUDA_R_64F, lda}, {b, CUDA_R_64F, ldb}, {c, CUDA_R_64F, ldc},
              CUBLAS_COMPUTE_64F);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m,
                                         int n, int k, const float*, const float* a, int lda, long long stride_a,
                                         const float* b, int ldb, long long stride_b, const float*, float* c, int ldc,
                                         long long stride_c, int batch) {
  return gemm(handle, {ta, tb, m, n, k, batch}, {a, CUDA_R_32F, lda, stride_a}, {b, CUDA_R_32F, ldb, stride_b},
              {c, CUDA_R_32F, ldc, stride_c}, CUBLAS_COMPUTE_32F);
}

std::size_t cublasLtGetVersion() {
  return CUBLAS_VERSION;
}

// The descriptors are opaque structs of fixed size: what a product needs of them lies at their start.
namespace {

struct Operations {
  cublasComputeType_t compute;
  std::int32_t a = CUBLAS_OP_N, b = CUBLAS_OP_N, epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};

}  // namespace

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t leading) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Matrix{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), leading});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<Matrix*>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                std::size_t) {
  auto* matrix = reinterpret_cast<Matrix*>(layout);
  std::int32_t batch = 0;
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) {
    std::memcpy(&batch, value, sizeof batch);
    matrix->batch = batch;
  } else if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) {
    std::memcpy(&matrix->stride, value, sizeof matrix->stride);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute,
                                        cudaDataType_t) {
  *description = reinterpret_cast<cublasLtMatmulDesc_t>(new Operations{compute});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete reinterpret_cast<Operations*>(description);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t) {
  auto* operations = reinterpret_cast<Operations*>(description);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) std::memcpy(&operations->a, value, sizeof operations->a);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) std::memcpy(&operations->b, value, sizeof operations->b);
  if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE) {
    std::memcpy(&operations->epilogue, value, sizeof operations->epilogue);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t{};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t* found,
                                              int* count) {
  *found = {};
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void*, const void* a,
                              cublasLtMatrixLayout_t of_a, const void* b, cublasLtMatrixLayout_t of_b, const void*,
                              const void*, cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t of_d,
                              const cublasLtMatmulAlgo_t*, void*, std::size_t, cudaStream_t stream) {
  const auto* operations = reinterpret_cast<const Operations*>(description);
  const auto matrix = [](cublasLtMatrixLayout_t layout) { return *reinterpret_cast<const Matrix*>(layout); };
  const Product product{a,
                        b,
                        d,
                        matrix(of_a),
                        matrix(of_b),
                        matrix(of_d),
                        operations->a != CUBLAS_OP_N,
                        operations->b != CUBLAS_OP_N,
                        operations->compute};
  return multiply(product, stream, " epilogue " + std::to_string(operations->epilogue));
}
