#pragma once

#include <string>
#include <vector>

#include "io/torch_format/torch_pickle.h"

namespace shine {

/// A pickle and the tensors whose bytes its storages "0", "1", .. stand for, in that order.
struct PickledValue {
  std::string pickle;
  std::vector<RawTensor> storages;
};

/// Pickles a value with protocol 2, opcode for opcode as Python does for torch.save. Throws FormatError at `where`, see
/// write_torch_file.
PickledValue pickle_value(const PickleValue& value, const std::string& where);

}  // namespace shine
