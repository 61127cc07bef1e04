#pragma once

#include <string>

namespace shine {

/// What a causal language model calls the parameter that a weight file has as `stored`: without PyTorch's wrappers, and
/// with the "model." in front that files saved from a family's base class lack.
std::string parameter_name(const std::string& stored);

}  // namespace shine
