#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "shine/text/tokenizer.h"

namespace shine {

/// An added token as a file gives it.
struct AddedTokenText {
  AddedToken token;                // its `normalized` is open
  std::optional<bool> normalized;  // absent: the opposite of what `special` turns out to be

  AddedToken complete(bool special) const;
  friend bool operator==(const AddedTokenText&, const AddedTokenText&) = default;
};

/// {"content": .., "special": .., "lstrip": .., ..}: content alone must be there. Throws FormatError.
AddedTokenText read_added_token(const nlohmann::json& object, const std::string& where);

/// Bounds what the added tokens of one tokenizer may take: they are searched for at every place of a text, in a trie of
/// some 60 bytes for each of their bytes.
class AddedTokenBudget {
 public:
  /// Throws FormatError for a token that is too long, or once all together are.
  void take(const std::string& content, const std::string& where);

 private:
  std::size_t bytes_ = 0;
};

}  // namespace shine
