#pragma once

#include <array>
#include <string_view>

namespace shine {

/// How conversations are written as text. automatic: what the chat template beside the tokenizer shows.
enum class ChatFormatChoice { automatic, chatml, llama3, mistral, none };
constexpr std::array<std::string_view, 5> config_names(ChatFormatChoice) {
  return {"auto", "chatml", "llama3", "mistral", "none"};
}

}  // namespace shine
