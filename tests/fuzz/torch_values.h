#pragma once

#include "fuzz/fuzz_target.h"
#include "io/torch_format/torch_pickle.h"

namespace shine::fuzz {

/// Reads everything a torch.save file holds.
inline void check_values(const PickleValue& root) {
  accepts([&] {
    for (const auto& [name, tensor] : flatten_tensors(root, "x")) {
      require(tensor.bytes == bytes_of(tensor.dtype, tensor.shape), "a tensor has the bytes of its shape");
      sum_of({tensor.data, tensor.bytes});
    }
  });
}

}  // namespace shine::fuzz
