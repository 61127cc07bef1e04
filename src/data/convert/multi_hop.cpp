#include <nlohmann/json.hpp>

#include "data/convert/formats.h"
#include "data/convert/json_records.h"
#include "io/json/json_cursor.h"

namespace shine {
namespace {

constexpr std::string_view kParagraphSeparator = "\n\n";

/// Files for a hidden test have no answers.
std::vector<std::string> read_answers(const JsonCursor& record) {
  std::vector<std::string> answers;
  if (const auto answer = record.find("answer")) answers.push_back(answer->text());
  const auto aliases = record.find("answer_aliases");
  for (std::size_t i = 0; aliases && i < aliases->size(); ++i) {
    const JsonCursor alias = (*aliases)[i];
    answers.push_back(alias.text());
  }
  return answers;
}

/// An empty part leaves no mark.
void append_part(std::string& text, std::string_view separator, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty()) text += separator;
  text += part;
}

/// [title, [sentences]] without the title.
std::string read_titled_paragraph(const JsonCursor& paragraph, std::string_view sentence_separator) {
  if (paragraph.size() != 2) paragraph.fail("expected a title and an array of sentences");
  const JsonCursor sentences = paragraph[1];
  std::string text;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const JsonCursor sentence = sentences[i];
    append_part(text, sentence_separator, sentence.text());
  }
  return text;
}

QaItem read_item(const JsonCursor& record, const char* id_key, std::string context) {
  const JsonCursor id = record[id_key];
  const JsonCursor question = record["question"];
  return {.id = id.text(), .context = std::move(context), .questions = {{question.text(), read_answers(record)}}};
}

}  // namespace

void convert_hotpotqa(const std::filesystem::path& file, std::string_view sentence_separator, QaCollector& items) {
  read_json_records(file, [&](std::size_t, const std::string& where, const nlohmann::json& value) {
    const JsonCursor record(value, where);
    const JsonCursor paragraphs = record["context"];
    std::string context;
    for (std::size_t i = 0; i < paragraphs.size(); ++i) {
      const JsonCursor paragraph = paragraphs[i];
      append_part(context, kParagraphSeparator, read_titled_paragraph(paragraph, sentence_separator));
    }
    items.add(read_item(record, "_id", std::move(context)));
  });
}

void convert_musique(const std::filesystem::path& file, QaCollector& items) {
  read_json_records(file, [&](std::size_t, const std::string& where, const nlohmann::json& value) {
    const JsonCursor record(value, where);
    const auto answerable = record.find("answerable");
    if (answerable && !answerable->boolean()) return items.count_unanswerable();
    const JsonCursor paragraphs = record["paragraphs"];
    std::string context;
    for (std::size_t i = 0; i < paragraphs.size(); ++i) {
      const JsonCursor paragraph = paragraphs[i];
      const JsonCursor text = paragraph["paragraph_text"];
      append_part(context, kParagraphSeparator, text.text());
    }
    items.add(read_item(record, "id", std::move(context)));
  });
}

}  // namespace shine
