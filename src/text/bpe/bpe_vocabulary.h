#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe/bpe_model.h"

namespace shine {

/// A token id of a file. Throws FormatError where it is negative or too large.
std::int32_t checked_id(std::int64_t id, const std::string& where);

/// An object of tokens and ids. Throws FormatError.
StringMap<std::int32_t> read_vocabulary(const nlohmann::json& object, const std::string& where);

/// The merge of two tokens of the vocabulary. Throws FormatError where one of the two, or both joined, is not in it.
BpeMerge make_merge(const StringMap<std::int32_t>& vocabulary, std::string_view left, std::string_view right,
                    const std::string& where);

}  // namespace shine
