#pragma once

#include <cstdint>

#include "shine/text/chat_format.h"

namespace shine {

/// Of all that a chat format writes, not of its name: what is made of a store is kept for one format.
std::uint64_t hash_format(const ChatFormat& format);

}  // namespace shine
