#include "shine/lora/lora_spec.h"

#include "lora/reshape.h"
#include "shine/common/str.h"

namespace shine {

std::string_view name_of(Projection projection) {
  constexpr std::array<std::string_view, 7> names{"q", "k", "v", "o", "gate", "up", "down"};
  return names[static_cast<std::size_t>(projection)];
}

std::string dotted_name(Projection projection) {
  const bool mlp = projection >= Projection::gate;
  return str(mlp ? "mlp." : "attention.", name_of(projection));
}

std::int64_t LoraSpec::numel_per_layer(std::int64_t rank) const {
  std::int64_t total = 0;
  for (const LoraSlice& slice : lora_slices(*this, rank, LoraReshape::rl, /*scale=*/1.0)) total += slice.numel();
  return total;
}

std::int64_t LoraSpec::memory_tokens(std::int64_t rank, std::int64_t hidden_size) const {
  return (numel_per_layer(rank) + hidden_size - 1) / hidden_size;
}

}  // namespace shine
