#include "eval/qa/qa_metrics.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "data/pretrain/words.h"
#include "eval/qa/answer_words.h"

namespace shine {
namespace {

constexpr std::string_view kThinkBegin = "<think>";
constexpr std::string_view kThinkEnd = "</think>";

std::string without_think_blocks(std::string_view raw) {
  std::string text;
  while (true) {
    const std::size_t end = raw.find(kThinkEnd);
    const std::size_t begin = raw.find(kThinkBegin);
    if (end == std::string_view::npos) return text.append(raw.substr(0, begin));
    if (begin < end) {
      text.append(raw.substr(0, begin));
    } else {  // the block was opened in the prompt
      text.clear();
    }
    raw.remove_prefix(end + kThinkEnd.size());
  }
}

char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char p, char c) { return p == ascii_lower(c); });
}

/// Words in alphabetical order: a bag.
std::vector<std::string> sorted(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  return words;
}

bool is_fixed_answer(const std::vector<std::string>& words) {
  return words.size() == 1 && (words[0] == "yes" || words[0] == "no" || words[0] == "noanswer");
}

double bag_f1(const std::vector<std::string>& answer, const std::vector<std::string>& right, ScoreForm form) {
  if (form == ScoreForm::squad && answer.empty() && right.empty()) return 1.0;
  if (form == ScoreForm::hotpot && answer != right && (is_fixed_answer(answer) || is_fixed_answer(right))) return 0.0;
  const auto answer_bag = sorted(answer), right_bag = sorted(right);
  std::vector<std::string> common;
  std::set_intersection(answer_bag.begin(), answer_bag.end(), right_bag.begin(), right_bag.end(),
                        std::back_inserter(common));
  if (common.empty()) return 0.0;
  const auto same = static_cast<double>(common.size());
  const double precision = same / static_cast<double>(answer.size());
  const double recall = same / static_cast<double>(right.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace

std::string clean_answer(std::string_view raw) {
  const std::string text = without_think_blocks(raw);
  std::string_view rest = trim_whitespace(text);
  for (const std::string_view label : {"answer:", "final answer:"}) {
    if (!starts_with_ignoring_case(rest, label)) continue;
    rest = trim_whitespace(rest.substr(label.size()));
    break;
  }
  return std::string(trim_whitespace(rest.substr(0, rest.find('\n'))));
}

QaScore score_answer(std::string_view answer, const std::vector<std::string>& right, ScoreForm form) {
  const std::vector<std::string> answered = answer_words(answer);
  QaScore best;
  for (const std::string& candidate : right) {
    const std::vector<std::string> expected = answer_words(candidate);
    best.f1 = std::max(best.f1, bag_f1(answered, expected, form));
    if (answered == expected) best.exact = 1.0;
  }
  return best;
}

}  // namespace shine
