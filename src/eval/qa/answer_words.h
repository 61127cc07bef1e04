#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shine {

/// The words by which answers are compared (the normalisation of SQuAD's scoring): lower case as Python's str.lower()
/// gives it, without ASCII punctuation, without the words a, an and the, split at white space as by str.split(). Bytes
/// that are not UTF-8 count as U+FFFD.
std::vector<std::string> answer_words(std::string_view text);

}  // namespace shine
