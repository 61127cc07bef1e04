#include <array>

#include "data/convert/formats.h"
#include "data/pretrain/words.h"
#include "data/repairs.h"
#include "io/json/jsonl.h"
#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kQuestions = 4;
constexpr std::size_t kOptions = 4;
constexpr std::size_t kFieldsBefore = 3;  // id, properties, story

std::vector<std::string_view> split_fields(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> fields;
  for (std::size_t tab = 0; (tab = line.find('\t')) != std::string_view::npos; line.remove_prefix(tab + 1)) {
    fields.push_back(line.substr(0, tab));
  }
  fields.push_back(line);
  return fields;
}

/// The marks that stand for line ends and tabs.
std::string unmark(std::string_view field) {
  constexpr std::array<std::pair<std::string_view, char>, 2> marks = {{{"\\newline", '\n'}, {"\\tab", '\t'}}};
  std::string text(field);
  for (const auto& [mark, character] : marks) {
    std::size_t at = 0;
    while ((at = text.find(mark, at)) != std::string::npos) text.replace(at++, mark.size(), 1, character);
  }
  return text;
}

/// "one: " and "multiple: " tell how many sentences of the story the answer needs.
std::string question_text(std::string_view field) {
  for (const std::string_view prefix : {"one:", "multiple:"}) {
    if (field.starts_with(prefix)) return unmark(field.substr(prefix.size()));
  }
  return unmark(field);
}

std::vector<std::string> read_letters(const std::filesystem::path& file) {
  std::vector<std::string> letters;
  const auto take = [&](std::size_t number, std::string_view line) {
    std::string& of_story = letters.emplace_back();
    for (const std::string_view field : split_fields(line)) {
      const std::string_view letter = trim_whitespace(field);
      if (letter.size() != 1 || letter[0] < 'A' || letter[0] >= static_cast<char>('A' + kOptions)) break;
      of_story += letter;
    }
    if (of_story.size() != kQuestions || split_fields(line).size() != kQuestions) {
      throw FormatError("expected four letters from A to D with tabs between", str(file.string(), ":", number));
    }
    return true;
  };
  read_lines(file, take, TextForm::any);
  return letters;
}

QaItem read_story(const std::vector<std::string_view>& fields, const std::string& letters) {
  QaItem item{.id = std::string(fields[0]), .context = unmark(fields[2])};
  for (std::size_t question = 0; question < kQuestions; ++question) {
    const std::size_t at = kFieldsBefore + question * (1 + kOptions);
    const auto right = static_cast<std::size_t>(letters[question] - 'A');
    item.questions.push_back({question_text(fields[at]), {unmark(fields[at + 1 + right])}});
  }
  return item;
}

}  // namespace

void convert_mctest(const std::filesystem::path& file, QaCollector& items) {
  std::filesystem::path answers = file;
  answers.replace_extension(".ans");
  if (answers == file) throw ConfigError("expected the stories, not the answers", file.string(), "name the .tsv file");
  const std::vector<std::string> letters = read_letters(answers);
  std::size_t stories = 0;
  Repairs repairs(file);
  const auto take = [&](std::size_t number, std::string_view line) {
    repairs.count(line);
    const std::string text = replace_invalid_utf8(line);
    const auto fields = split_fields(text);
    const std::string where = str(file.string(), ":", number);
    constexpr std::size_t expected = kFieldsBefore + kQuestions * (1 + kOptions);
    if (fields.size() != expected) {
      throw FormatError(str("expected ", expected, " fields with tabs between, found ", fields.size()), where);
    }
    if (stories == letters.size()) {
      throw FormatError(str("there is no line of letters for this story in ", answers.string()), where);
    }
    items.add(read_story(fields, letters[stories++]));
    return true;
  };
  read_lines(file, take, TextForm::any);
  repairs.report();
  if (stories != letters.size()) {
    throw FormatError(str("expected letters for ", stories, " stories, found ", letters.size()), answers.string());
  }
}

}  // namespace shine
