#pragma once

#include <cstddef>
#include <string_view>

#include "shine/common/api.h"

namespace shine {

/// Element types that tensor files hold.
enum class DType { float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, boolean };

/// Bytes of one element.
SHINE_API std::size_t size_of(DType dtype);

/// PyTorch's name without the "torch." ("float32", "bfloat16", "bool", ..).
SHINE_API std::string_view name_of(DType dtype);

}  // namespace shine
