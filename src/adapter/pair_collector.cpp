#include "adapter/pair_collector.h"

#include <cmath>
#include <cstring>

#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

template <class Bits>
bool any_with_exponent(const RawTensor& tensor, Bits exponent) {
  for (std::size_t at = 0; at < tensor.bytes; at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, tensor.data + at, sizeof bits);
    if ((bits & exponent) == exponent) return true;
  }
  return false;
}

/// Infinite numbers and those that are none have all bits of the exponent set.
bool has_non_finite(const RawTensor& tensor, const std::string& name, const std::string& where) {
  switch (tensor.dtype) {
    case DType::float64: return any_with_exponent<std::uint64_t>(tensor, 0x7FF0000000000000);
    case DType::float32: return any_with_exponent<std::uint32_t>(tensor, 0x7F800000);
    case DType::float16: return any_with_exponent<std::uint16_t>(tensor, 0x7C00);
    case DType::bfloat16: return any_with_exponent<std::uint16_t>(tensor, 0x7F80);
    default: break;
  }
  throw FormatError(str("tensor ", quote_text(name), " is of ", name_of(tensor.dtype), ", expected floating point"),
                    where);
}

}  // namespace

void require_finite(const RawTensor& tensor, const std::string& name, const std::string& where) {
  SHINE_CHECK(!has_non_finite(tensor, name, where), FormatError, where, ": tensor ", quote_text(name),
              " holds a number that is not finite");
}

PairCollector::PairCollector(const LoraSpec& spec, PairLayout layout, std::string where)
    : spec_(spec), layout_(layout), where_(std::move(where)), found_(static_cast<std::size_t>(spec.layers)) {}

PairCollector::Found& PairCollector::at(const MapPlace& place, const std::string& name) {
  SHINE_CHECK(place.layer < spec_.layers, FormatError, where_, ": tensor ", quote_text(name), " is of layer ",
              place.layer, ", the model has layers 0 to ", spec_.layers - 1);
  return found_[static_cast<std::size_t>(place.layer)][static_cast<std::size_t>(place.projection)];
}

void PairCollector::add(const MapPlace& place, Half half, const std::string& name, RawTensor tensor) {
  Found& found = at(place, name);
  const ProjectionSpec& map = spec_[place.projection];
  const bool is_a = half == Half::a;
  const std::int64_t width = is_a ? map.in : map.out;
  const bool rank_first = is_a == (layout_ == PairLayout::transposed);
  const bool fits = tensor.shape.size() == 2 && tensor.shape[rank_first ? 1 : 0] == width && tensor.bytes > 0;
  SHINE_CHECK(fits, FormatError, where_, ": tensor ", quote_text(name), " has the shape (", join(tensor.shape, ", "),
              "), the model needs ", rank_first ? str("(rank, ", width, ")") : str("(", width, ", rank)"));
  require_finite(tensor, name, where_);
  std::optional<RawTensor>& slot = is_a ? found.a : found.b;
  SHINE_CHECK(!slot, FormatError, where_, ": ", quote_text(name), " is there twice");
  slot = std::move(tensor);
  (is_a ? found.a_name : found.b_name) = name;
}

void PairCollector::add_bias(const MapPlace& place, const std::string& name, RawTensor tensor) {
  Found& found = at(place, name);
  const ProjectionSpec& map = spec_[place.projection];
  SHINE_CHECK(map.has_bias, FormatError, where_, ": tensor ", quote_text(name), ": the model's ", module_path(place),
              " has no bias");
  SHINE_CHECK(tensor.shape == std::vector<std::int64_t>{map.out}, FormatError, where_, ": tensor ", quote_text(name),
              " has the shape (", join(tensor.shape, ", "), "), the model needs (", map.out, ")");
  require_finite(tensor, name, where_);
  found.c = std::move(tensor);
}

std::vector<std::array<std::optional<RawPair>, 7>> PairCollector::finish() const {
  std::vector<std::array<std::optional<RawPair>, 7>> layers(found_.size());
  bool any = false;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::size_t p = 0; p < layers[layer].size(); ++p) {
      const Found& found = found_[layer][p];
      if (!found.a && !found.b && !found.c) continue;
      const std::string path = module_path({static_cast<std::int64_t>(layer), kProjections[p]});
      SHINE_CHECK(found.a && found.b, FormatError, where_, ": the LoRA of ", path, " has no lora_", found.a ? "B" : "A",
                  found.a   ? str(" beside ", quote_text(found.a_name))
                  : found.b ? str(" beside ", quote_text(found.b_name))
                            : "");
      const bool rank_first = layout_ == PairLayout::transposed;
      const std::int64_t rank = found.a->shape[rank_first ? 0 : 1], of_b = found.b->shape[rank_first ? 1 : 0];
      SHINE_CHECK(rank == of_b, FormatError, where_, ": ", path, ": A has the rank ", rank, " and B ", of_b);
      layers[layer][p] = RawPair{*found.a, *found.b, layout_, rank, 1.0, found.c};
      any = true;
    }
  }
  SHINE_CHECK(any, FormatError, where_, ": there is no LoRA in the file");
  return layers;
}

}  // namespace shine
