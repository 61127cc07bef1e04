#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// The adapted projections of a decoder layer, in the order of the generated vector (paper section 3).
enum class Projection { q, k, v, o, gate, up, down };

inline constexpr std::array<Projection, 7> kProjections{
    Projection::q, Projection::k, Projection::v, Projection::o, Projection::gate, Projection::up, Projection::down};

/// "q", .., "down".
SHINE_API std::string_view name_of(Projection projection);

/// Published checkpoints nest projections as "attention.q" or "mlp.gate".
SHINE_API std::string dotted_name(Projection projection);

/// The sizes of one adapted linear map y = W x + b.
struct ProjectionSpec {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool has_bias = false;
};

/// Which linear maps carry a LoRA, and the number of values each needs. Every layer is alike.
struct SHINE_API LoraSpec {
  std::int64_t layers = 0;
  std::array<ProjectionSpec, 7> projections{};

  const ProjectionSpec& operator[](Projection projection) const {
    return projections[static_cast<std::size_t>(projection)];
  }

  /// Values of one layer at a rank: in*r + r*out for each projection, and out for the bias term C.
  std::int64_t numel_per_layer(std::int64_t rank) const;

  /// M = ceil(values of one layer / hidden size): how many memory tokens the generated LoRA takes.
  std::int64_t memory_tokens(std::int64_t rank, std::int64_t hidden_size) const;
};

}  // namespace shine
