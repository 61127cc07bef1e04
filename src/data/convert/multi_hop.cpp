#include <nlohmann/json.hpp>

#include "data/convert/formats.h"
#include "data/convert/json_columns.h"
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

std::string join_sentences(const JsonCursor& sentences, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const JsonCursor sentence = sentences[i];
    append_part(text, separator, sentence.text());
  }
  return text;
}

/// [[title, [sentence, ..]], ..] as its authors publish it, or {"title": [..], "sentences": [[sentence, ..], ..]} as
/// the Hugging Face Hub has it; the titles go.
std::string read_titled_paragraphs(const JsonCursor& paragraphs, std::string_view sentence_separator) {
  std::string context;
  if (paragraphs.value().is_object()) {
    const JsonCursor columns = paragraphs["sentences"];
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const JsonCursor sentences = columns[i];
      append_part(context, kParagraphSeparator, join_sentences(sentences, sentence_separator));
    }
    return context;
  }
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const JsonCursor paragraph = paragraphs[i];
    if (paragraph.size() != 2) paragraph.fail("expected a title and an array of sentences");
    const JsonCursor sentences = paragraph[1];
    append_part(context, kParagraphSeparator, join_sentences(sentences, sentence_separator));
  }
  return context;
}

/// [{"paragraph_text", ..}, ..], or the same as columns: {"paragraph_text": [..], ..}.
std::string read_texts(const JsonCursor& paragraphs) {
  std::string context;
  if (paragraphs.value().is_object()) {
    const JsonCursor texts = paragraphs["paragraph_text"];
    return join_sentences(texts, kParagraphSeparator);
  }
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const JsonCursor paragraph = paragraphs[i];
    const JsonCursor text = paragraph["paragraph_text"];
    append_part(context, kParagraphSeparator, text.text());
  }
  return context;
}

/// `_id` with the authors of hotpotqa and 2wiki, `id` on the Hub.
std::string read_id(const JsonCursor& record) {
  for (const char* key : {"_id", "id"}) {
    if (const auto id = record.find(key)) return id->text();
  }
  record.fail("there is neither `_id` nor `id`");
}

QaItem read_item(const JsonCursor& record, std::string context) {
  const JsonCursor question = record["question"];
  return {.id = read_id(record), .context = std::move(context), .questions = {{question.text(), read_answers(record)}}};
}

}  // namespace

void convert_hotpotqa(const std::filesystem::path& file, std::string_view sentence_separator, QaCollector& items) {
  read_json_records(file, [&](std::size_t, const std::string& where, const nlohmann::json& value) {
    const JsonCursor record(value, where);
    const JsonCursor context = record["context"];
    const UnfoldedJson paragraphs(context);
    items.add(read_item(record, read_titled_paragraphs(paragraphs.cursor(), sentence_separator)));
  });
}

void convert_musique(const std::filesystem::path& file, QaCollector& items) {
  read_json_records(file, [&](std::size_t, const std::string& where, const nlohmann::json& value) {
    const JsonCursor record(value, where);
    const auto answerable = record.find("answerable");
    if (answerable && !answerable->boolean()) return items.count_unanswerable();
    const JsonCursor column = record["paragraphs"];
    const UnfoldedJson paragraphs(column);
    items.add(read_item(record, read_texts(paragraphs.cursor())));
  });
}

}  // namespace shine
