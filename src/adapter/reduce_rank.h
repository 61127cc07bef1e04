#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shine/adapter/adapter.h"
#include "shine/common/api.h"

namespace shine {

/// An adapter of lower rank, and what that cost.
struct ReducedAdapter {
  Adapter adapter;
  /// By layer and Projection: the squared singular values of A B that were left out, over all of them; 0 where A B is.
  std::vector<std::array<double, 7>> discarded;
  double discarded_of_all = 0.0;  ///< the same over all projections together
};

/// The nearest adapter of rank `rank` (Eckart and Young): of each A B, which is not formed, the largest singular
/// values, shared evenly by A and B; computed in float64. C stays. An adapter whose rank is no higher is given back as
/// it is. The identity becomes reduced_identity. Throws ConfigError for a rank
/// below 1.
SHINE_API ReducedAdapter reduce_rank(const Adapter& adapter, std::int64_t rank);

/// The identity of an adapter with `identity` after its rank was lowered to `rank`; empty where it had none.
SHINE_API std::string reduced_identity(const std::string& identity, std::int64_t rank);

/// For people: the error in all, mean and worst of each projection, a line each.
SHINE_API std::string reduction_text(const ReducedAdapter& reduced);

}  // namespace shine
