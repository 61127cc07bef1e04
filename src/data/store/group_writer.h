#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/store/group_index.h"

namespace shine {

inline constexpr std::array<char, 8> kGroupMagic{'S', 'H', 'I', 'N', 'E', 'G', 'R', 'P'};
inline constexpr std::uint32_t kGroupVersion = 1;
inline constexpr std::uint64_t kMaxGroupedDocuments = std::uint64_t{1} << 32;

/// Where a store keeps the groups of a key: "groups-<key>" with .members and .groups behind it.
std::filesystem::path group_path(const TokenStore& store, std::uint64_t key, const char* extension);

/// Makes the two files; the `.groups` file comes last and marks them as complete. Memory: the open groups and two
/// buffers of 1 MiB.
void write_groups(const TokenStore& store, const PretrainForm& form, const std::vector<std::uint64_t>& held_out,
                  std::uint64_t key);

}  // namespace shine
