#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "adapter/adapter_names.h"
#include "adapter/raw_adapter.h"

namespace shine {

/// Puts the tensors of a file together to pairs and checks them against the decoder.
class PairCollector {
 public:
  /// @param where  the file, for messages
  PairCollector(const LoraSpec& spec, PairLayout layout, std::string where);

  /// Throws FormatError for a layer that the decoder does not have, a shape that does not fit it, a type that is no
  /// floating-point one, a number that is not finite.
  /// @param name  the tensor's, for messages
  void add(const MapPlace& place, Half half, const std::string& name, RawTensor tensor);

  /// C of the paper, (out).
  void add_bias(const MapPlace& place, const std::string& name, RawTensor tensor);

  /// Every pair, with scale 1. Throws FormatError for one that lacks a half or whose ranks differ, and where there is
  /// none at all.
  std::vector<std::array<std::optional<RawPair>, 7>> finish() const;

 private:
  struct Found {
    std::optional<RawTensor> a, b, c;
    std::string a_name, b_name;
  };

  Found& at(const MapPlace& place, const std::string& name);

  LoraSpec spec_;
  PairLayout layout_;
  std::string where_;
  std::vector<std::array<Found, 7>> found_;
};

/// Throws FormatError unless the tensor is float64, float32, float16 or bfloat16 and every number is finite.
void require_finite(const RawTensor& tensor, const std::string& name, const std::string& where);

}  // namespace shine
