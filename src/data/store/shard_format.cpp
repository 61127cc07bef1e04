#include "data/store/shard_format.h"

#include "common/format.h"
#include "data/pretrain/words.h"

namespace shine {

std::uint64_t text_hash(std::string_view text) {
  return Checksum::of(std::as_bytes(std::span(text)));
}

std::uint64_t context_hash(std::string_view context) {
  return text_hash(join_words(context));
}

std::string shard_name(std::size_t number) {
  return format("shard-%05zu.tokens", number);
}

}  // namespace shine
