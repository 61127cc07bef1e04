#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shine {

/// One turn of a conversation; role is "system", "user" or "assistant".
struct ChatMessage {
  std::string role;
  std::string content;
};

/// A conversation as token rows; labels[i] is ids[i] where it is trained, kIgnoredLabel elsewhere (not yet shifted).
struct RenderedConversation {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
};

inline constexpr std::int64_t kIgnoredLabel = -100;

}  // namespace shine
