#pragma once

#include <array>
#include <string>
#include <vector>

#include "adapter/adapter_names.h"
#include "adapter/raw_adapter.h"

namespace shine {

/// Which tensor of a pair.
enum class PairPart { a, b, c };

/// Puts the tensors of a file together as pairs and checks them against the decoder.
class PairCollector {
 public:
  /// @param where  the file, for messages
  PairCollector(const LoraSpec& spec, PairLayout layout, std::string where);

  /// @param name  the tensor's own name, for messages
  /// Throws FormatError (no such layer, the part is there already, another shape than the decoder's sizes allow, a
  /// number that is not finite) and UnsupportedError (another type than float32, float16 and bfloat16).
  void add(AdaptedMap map, PairPart part, const std::string& name, const RawTensor& tensor);

  /// Every pair with its rank. Throws FormatError for a half that is missing, halves of different ranks, and where
  /// there is no pair at all.
  RawPairs finish() const;

 private:
  struct Part {
    std::string name;
    RawTensor tensor;
  };
  using Parts = std::array<std::optional<Part>, 3>;

  void check_shape(AdaptedMap map, PairPart part, const RawTensor& tensor, const std::string& where) const;
  RawPair pair_of(const Parts& parts) const;

  LoraSpec spec_;
  PairLayout layout_;
  std::string where_;
  std::vector<std::array<Parts, 7>> layers_;
};

}  // namespace shine
