#include "data/store/format_hash.h"

#include <string>

#include "common/hash.h"

namespace shine {

std::uint64_t hash_format(const ChatFormat& format) {
  Fnv1a hash;
  const auto add = [&](const std::string& text) { hash.add(std::uint64_t{text.size()}).add_bytes(text); };
  add(format.begin);
  for (const ChatFrame* frame : {&format.system, &format.user, &format.assistant}) {
    add(frame->before);
    add(frame->after);
  }
  for (const std::string* text : {&format.answer_lead, &format.system_lead, &format.answer_end, &format.text_end}) {
    add(*text);
  }
  hash.add(static_cast<std::uint64_t>(format.system_place));
  for (const bool flag : {format.trims_answers, format.trims_others, format.cuts_thoughts}) {
    hash.add(std::uint64_t{flag});
  }
  return hash.value();
}

}  // namespace shine
