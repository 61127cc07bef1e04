#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/qa/qa_items.h"

namespace shine {

/// Layouts in which question answering is published. ift: an array of {context, conversations: [{role, content}, ..]}
/// (the published training data); msmarco_mqa: lines of {context, conversations: [{question, answer}, ..]}; squad:
/// SQuAD v1.1 and v2.0; hotpotqa, 2wiki, musique, mctest: the files of their authors. Also squad, hotpotqa, 2wiki and
/// musique as rows of the Hugging Face Hub, whose inner tables are columns or strings of JSON.
enum class QaFormat { ift, msmarco_mqa, squad, hotpotqa, two_wiki, musique, mctest };
constexpr std::array<std::string_view, 7> config_names(QaFormat) {
  return {"ift", "msmarco_mqa", "squad", "hotpotqa", "2wiki", "musique", "mctest"};
}

/// Separator of the sentences of a paragraph of hotpotqa and 2wiki. automatic: nothing with hotpotqa, whose sentences
/// have their spaces; a space with 2wiki (as in the published training data; its test has none).
enum class SentenceSeparator { automatic, none, space };
constexpr std::array<std::string_view, 3> config_names(SentenceSeparator) {
  return {"automatic", "none", "space"};
}

struct QaConvertOptions {
  QaFormat format = QaFormat::squad;
  std::string source = {};  ///< of the items; empty: the format's name
  SentenceSeparator sentence_separator = SentenceSeparator::automatic;
};

/// What was made and what was left out.
struct QaConvertReport {
  std::size_t items = 0;
  std::size_t questions = 0;         ///< of these items
  std::size_t unanswerable = 0;      ///< questions that the data set calls so
  std::size_t without_answer = 0;    ///< questions with a missing or empty question or answer
  std::size_t empty_contexts = 0;    ///< items
  std::size_t out_of_order = 0;      ///< items in which user and assistant do not alternate
  std::size_t without_question = 0;  ///< items of which no question is left
  std::size_t not_in_context = 0;    ///< questions, kept, with no answer that stands in the context (yes and no aside)
};

/// One line, without a newline: what was made, then what was left out, if anything.
std::string describe(const QaConvertReport& report);

/// Called with an item and its group: an article's title, else its context.
using TakeQaItem = std::function<void(QaItem&& item, std::string_view group)>;

/// Reads the files one after another and hands out their items, ids made unique; texts lose the white space at their
/// ends, the context excepted, and an answer that is there twice is kept once. The memory needed is that of one item;
/// with the authors' squad that of a whole file, at most 256 MiB, as a tree.
/// Throws IoError (no file), FormatError naming file, item and key where the layout is another, ConfigError (no file
/// named, a sentence separator for a format without sentences).
QaConvertReport convert_qa(const std::vector<std::filesystem::path>& files, const QaConvertOptions& options,
                           const TakeQaItem& take);

/// Where converted items go.
struct QaOutput {
  std::filesystem::path file;
  std::filesystem::path validation_file = {};  ///< used where validation_share > 0
  double validation_share = 0.0;               ///< of the items, about; at least one group, and one is left
  std::uint64_t seed = 0;                      ///< of which groups are validation data
};

/// What is in which file.
struct QaSplitReport : QaConvertReport {
  std::size_t validation_items = 0;
};

/// Converts into JSON lines (read_qa_items). With a validation share no article (squad) and no context is in both
/// files, and the input is read twice. A file is there whole or not at all. Throws as convert_qa does, IoError, and
/// ConfigError for a share outside [0, 1), no file or twice the same for it, or where no item is left or all belong
/// together.
QaSplitReport write_qa_files(const std::vector<std::filesystem::path>& files, const QaConvertOptions& options,
                             const QaOutput& output);

}  // namespace shine
