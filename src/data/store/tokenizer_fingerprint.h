#pragma once

#include <cstdint>

#include "shine/text/tokenizer.h"

namespace shine {

/// What a tokenizer does, as one number: of its vocabulary (every id's token and bytes, whether it is special) and of
/// the ids it gives to some made-up texts, which hang on its merges and rules. Two folders that write the same
/// tokenizer in other words have the same.
std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer);

}  // namespace shine
