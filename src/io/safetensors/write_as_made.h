#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "shine/tensor/raw_tensor.h"

namespace shine {

/// What a safetensors header says of a tensor.
struct TensorForm {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
};

/// write_safetensors for tensors that are made one at a time, when their bytes are written: one is in memory.
/// @param make  called once for each name, in the order of the file; what it throws goes through, and no file is left.
///              Throws FormatError where its tensor has another dtype or shape than its form.
void write_safetensors_as_made(const std::filesystem::path& path, std::vector<TensorForm> forms,
                               const std::function<RawTensor(const std::string& name)>& make,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace shine
