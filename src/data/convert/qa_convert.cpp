#include "data/convert/qa_convert.h"

#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "common/hash.h"
#include "data/convert/formats.h"
#include "data/pretrain/words.h"
#include "data/sampling/random_streams.h"
#include "io/files/posix_file.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

bool has_sentences(QaFormat format) {
  return format == QaFormat::hotpotqa || format == QaFormat::two_wiki;
}

std::string_view separator_of(const QaConvertOptions& options) {
  if (options.sentence_separator != SentenceSeparator::automatic) {
    return options.sentence_separator == SentenceSeparator::space ? " " : "";
  }
  return options.format == QaFormat::two_wiki ? " " : "";
}

void convert_file(const std::filesystem::path& file, const QaConvertOptions& options, QaCollector& items) {
  switch (options.format) {
    case QaFormat::ift: return convert_ift(file, items);
    case QaFormat::msmarco_mqa: return convert_msmarco_mqa(file, items);
    case QaFormat::squad: return convert_squad(file, items);
    case QaFormat::hotpotqa:
    case QaFormat::two_wiki: return convert_hotpotqa(file, separator_of(options), items);
    case QaFormat::musique: return convert_musique(file, items);
    case QaFormat::mctest: return convert_mctest(file, items);
  }
}

std::uint64_t hash_of(std::string_view text) {
  return Fnv1a().add_bytes(text).value();
}

std::uint64_t hash_of_context(const QaItem& item) {
  return hash_of(join_words(item.context));
}

/// Chooses groups until they hold the share of the items; then says which items are validation data.
class ValidationChoice {
 public:
  void add(const QaItem& item, std::string_view group) {
    const auto [place, is_new] = number_of_.try_emplace(hash_of(group), groups_.size());
    if (is_new) groups_.emplace_back();
    groups_[place->second].push_back(hash_of_context(item));
    ++items_;
  }

  void choose(double share, std::uint64_t seed) {
    SHINE_CHECK(groups_.size() >= 2, ConfigError, "a validation share needs at least two articles or contexts, found ",
                groups_.size());
    std::vector<std::size_t> order(groups_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    stream_of(seed, RandomPurpose::question_split).shuffle(order);
    const auto wanted = static_cast<std::size_t>(std::llround(share * static_cast<double>(items_)));
    std::size_t taken = 0;
    for (std::size_t i = 0; i + 1 < order.size() && (i == 0 || taken < wanted); ++i) {
      const auto& contexts = groups_[order[i]];
      chosen_contexts_.insert(contexts.begin(), contexts.end());
      taken += contexts.size();
    }
  }

  /// A context of the chosen groups makes an item of another group validation data too.
  bool holds(const QaItem& item) const { return chosen_contexts_.contains(hash_of_context(item)); }

 private:
  std::unordered_map<std::uint64_t, std::size_t> number_of_;
  std::vector<std::vector<std::uint64_t>> groups_;  ///< hashes of the contexts of a group's items
  std::unordered_set<std::uint64_t> chosen_contexts_;
  std::size_t items_ = 0;
};

void check_output(const QaOutput& output) {
  SHINE_CHECK(output.validation_share >= 0 && output.validation_share < 1, ConfigError,
              "the validation share must be in [0, 1), found ", output.validation_share);
  SHINE_CHECK(output.validation_share == 0 || !output.validation_file.empty(), ConfigError,
              "a validation share needs a file to go to");
  SHINE_CHECK(output.validation_share > 0 || output.validation_file.empty(), ConfigError,
              "a validation file needs a validation share above 0");
  const bool same = output.validation_share > 0 && file_to_write(output.file) == file_to_write(output.validation_file);
  SHINE_CHECK(!same, ConfigError, "training and validation items would go to the same ", output.file.string());
}

}  // namespace

std::string describe(const QaConvertReport& report) {
  std::string text = str(report.items, " items with ", report.questions, " questions");
  std::vector<std::string> left_out;
  const auto mention = [&left_out](std::size_t count, std::string_view what) {
    if (count > 0) left_out.push_back(str(count, " ", what));
  };
  mention(report.unanswerable, "unanswerable questions");
  mention(report.without_answer, "questions without text or answer");
  mention(report.empty_contexts, "items with an empty context");
  mention(report.out_of_order, "items with turns out of order");
  mention(report.without_question, "items without a question");
  if (!left_out.empty()) text += "; left out: " + join(left_out, ", ");
  if (report.not_in_context > 0)
    text += str("; kept: ", report.not_in_context, " questions with no answer found in the context");
  return text;
}

QaConvertReport convert_qa(const std::vector<std::filesystem::path>& files, const QaConvertOptions& options,
                           const TakeQaItem& take) {
  SHINE_CHECK(!files.empty(), ConfigError, "no file with questions is named");
  const std::string name(enum_name(options.format));
  SHINE_CHECK(options.sentence_separator == SentenceSeparator::automatic || has_sentences(options.format), ConfigError,
              "a sentence separator is for hotpotqa and 2wiki, the format is ", name);
  QaCollector items(options.source.empty() ? name : options.source, take);
  for (const auto& file : files) convert_file(file, options, items);
  return items.report();
}

QaSplitReport write_qa_files(const std::vector<std::filesystem::path>& files, const QaConvertOptions& options,
                             const QaOutput& output) {
  check_output(output);
  ValidationChoice choice;
  std::optional<PendingFile> validation;
  if (output.validation_share > 0) {
    convert_qa(files, options, [&](QaItem&& item, std::string_view group) { choice.add(item, group); });
    choice.choose(output.validation_share, output.seed);
    validation.emplace(output.validation_file);
  }
  PendingFile train(output.file);
  QaSplitReport report;
  const auto write = [&](QaItem&& item, std::string_view) {
    const bool is_held_out = validation && choice.holds(item);
    report.validation_items += is_held_out ? 1 : 0;
    (is_held_out ? *validation : train).write(qa_item_json(item) + '\n');
  };
  static_cast<QaConvertReport&>(report) = convert_qa(files, options, write);
  SHINE_CHECK(report.items > 0, ConfigError, "no question is left of ", join(files, ", "), ": ", describe(report));
  SHINE_CHECK(report.validation_items < report.items, ConfigError,
              "no item is left for training: all share their contexts with validation items");
  train.commit();
  if (validation) validation->commit();
  return report;
}

}  // namespace shine
