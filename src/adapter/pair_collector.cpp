#include "adapter/pair_collector.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Pairs of lower rank are filled up to the largest, so that a hostile file's one large pair would cost much memory.
constexpr std::int64_t kMaxRank = 65'536;

/// Whether every number has an exponent that is not all ones. `Bits` is an unsigned integer of the number's size.
template <class Bits>
bool all_finite(const RawTensor& tensor, Bits exponent) {
  for (std::size_t at = 0; at < tensor.bytes; at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, tensor.data + at, sizeof bits);
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

bool all_finite(const RawTensor& tensor, const std::string& where) {
  switch (tensor.dtype) {
    case DType::float32: return all_finite<std::uint32_t>(tensor, 0x7F800000);
    case DType::float16: return all_finite<std::uint16_t>(tensor, 0x7C00);
    case DType::bfloat16: return all_finite<std::uint16_t>(tensor, 0x7F80);
    default:
      throw UnsupportedError(str(name_of(tensor.dtype), " numbers"), where,
                             "float32, float16 and bfloat16 are supported");
  }
}

}  // namespace

PairLayout layout_of(AdapterFormat format) {
  const bool transposed = format == AdapterFormat::peft || format == AdapterFormat::gguf;
  return transposed ? PairLayout::transposed : PairLayout::ours;
}

PairCollector::PairCollector(const LoraSpec& spec, PairLayout layout, std::string where)
    : spec_(spec), layout_(layout), where_(std::move(where)), layers_(static_cast<std::size_t>(spec.layers)) {}

void PairCollector::add(AdaptedMap map, PairPart part, const std::string& name, const RawTensor& tensor) {
  const std::string where = str(where_, ": tensor ", quote_text(name));
  SHINE_CHECK(map.layer < layers_.size(), FormatError, where, ": the decoder has ", layers_.size(), " layers");
  auto& place = layers_[map.layer][static_cast<std::size_t>(map.projection)][static_cast<std::size_t>(part)];
  if (place) throw FormatError(str("names the same part as ", quote_text(place->name)), where, "leave out one of them");
  check_shape(map, part, tensor, where);
  SHINE_CHECK(all_finite(tensor, where), FormatError, where, ": a number is not finite");
  place = {name, tensor};
}

void PairCollector::check_shape(AdaptedMap map, PairPart part, const RawTensor& tensor,
                                const std::string& where) const {
  const ProjectionSpec& sizes = spec_[map.projection];
  const std::vector<std::int64_t>& shape = tensor.shape;
  if (part == PairPart::c) {
    SHINE_CHECK(shape == std::vector{sizes.out}, FormatError, where, ": shape [", join(shape, ", "), "], expected [",
                sizes.out, "]");
    return;
  }
  const bool is_a = part == PairPart::a, rank_first = is_a == (layout_ == PairLayout::transposed);
  const std::int64_t size = is_a ? sizes.in : sizes.out;
  const bool fits = shape.size() == 2 && shape[rank_first ? 1 : 0] == size;
  const std::string expected = rank_first ? str("[rank, ", size, "]") : str("[", size, ", rank]");
  SHINE_CHECK(fits, FormatError, where, ": shape [", join(shape, ", "), "], the decoder needs ", expected);
  const std::int64_t rank = shape[rank_first ? 0 : 1];
  SHINE_CHECK(rank >= 1 && rank <= kMaxRank, FormatError, where, ": rank ", rank, ", expected 1 to ", kMaxRank);
}

RawPairs PairCollector::finish() const {
  RawPairs layers(layers_.size());
  bool found = false;
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    for (const Projection projection : kProjections) {
      const auto p = static_cast<std::size_t>(projection);
      const Parts& parts = layers_[layer][p];
      if (std::ranges::none_of(parts, [](const auto& part) { return part.has_value(); })) continue;
      layers[layer][p] = pair_of(parts);
      found = true;
    }
  }
  if (!found) throw FormatError("no LoRA tensor for this decoder", where_);
  return layers;
}

RawPair PairCollector::pair_of(const Parts& parts) const {
  const auto& [a, b, c] = parts;
  if (!a || !b) {
    const std::string& name = (a ? a : b ? b : c)->name;
    throw FormatError(str("tensor ", quote_text(name), " is without its ", a ? "B" : "A"), where_);
  }
  RawPair pair{.a = a->tensor, .b = b->tensor, .layout = layout_};
  const bool transposed = layout_ == PairLayout::transposed;
  pair.rank = pair.a.shape[transposed ? 0 : 1];
  const std::int64_t rank_of_b = pair.b.shape[transposed ? 1 : 0];
  SHINE_CHECK(pair.rank == rank_of_b, FormatError, where_, ": ", quote_text(a->name), " has rank ", pair.rank, ", ",
              quote_text(b->name), " has rank ", rank_of_b);
  if (c) pair.c = c->tensor;
  return pair;
}

}  // namespace shine
