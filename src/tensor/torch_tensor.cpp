#include "shine/tensor/torch_tensor.h"

#include <ATen/ATen.h>

#include "shine/common/error.h"

namespace shine {

at::ScalarType to_scalar_type(DType dtype) {
  switch (dtype) {
    case DType::float64: return at::kDouble;
    case DType::float32: return at::kFloat;
    case DType::float16: return at::kHalf;
    case DType::bfloat16: return at::kBFloat16;
    case DType::int64: return at::kLong;
    case DType::int32: return at::kInt;
    case DType::int16: return at::kShort;
    case DType::int8: return at::kChar;
    case DType::uint8: return at::kByte;
    case DType::boolean: return at::kBool;
  }
  throw UnsupportedError("unknown dtype");
}

DType from_scalar_type(at::ScalarType type) {
  switch (type) {
    case at::kDouble: return DType::float64;
    case at::kFloat: return DType::float32;
    case at::kHalf: return DType::float16;
    case at::kBFloat16: return DType::bfloat16;
    case at::kLong: return DType::int64;
    case at::kInt: return DType::int32;
    case at::kShort: return DType::int16;
    case at::kChar: return DType::int8;
    case at::kByte: return DType::uint8;
    case at::kBool: return DType::boolean;
    default: throw UnsupportedError(str("no file format here holds tensors of type ", at::toString(type)));
  }
}

at::Tensor to_tensor(const RawTensor& raw) {
  const auto options = at::TensorOptions().dtype(to_scalar_type(raw.dtype));
  if (raw.bytes == 0) return at::empty(raw.shape, options);
  auto* data = const_cast<std::byte*>(raw.data);
  return at::from_blob(
      data, raw.shape, [owner = raw.owner](void*) {}, options);
}

RawTensor to_raw(const at::Tensor& tensor) {
  const auto held = std::make_shared<at::Tensor>(tensor.detach().to(at::kCPU).contiguous());
  return RawTensor{from_scalar_type(held->scalar_type()), held->sizes().vec(),
                   static_cast<const std::byte*>(held->const_data_ptr()), held->nbytes(), held};
}

}  // namespace shine
