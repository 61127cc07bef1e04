#pragma once

#include <ATen/core/Tensor.h>

#include "shine/common/api.h"
#include "shine/tensor/dtype.h"
#include "shine/tensor/raw_tensor.h"

namespace shine {

SHINE_API at::ScalarType to_scalar_type(DType dtype);

/// Throws UnsupportedError for a type that no file format here can hold.
SHINE_API DType from_scalar_type(at::ScalarType type);

/// A CPU tensor over the file's bytes, without a copy: it keeps the mapping alive and must not be written to.
SHINE_API at::Tensor to_tensor(const RawTensor& raw);

/// The bytes of `tensor`, moved to the CPU and made contiguous where needed; shares storage otherwise.
SHINE_API RawTensor to_raw(const at::Tensor& tensor);

}  // namespace shine
