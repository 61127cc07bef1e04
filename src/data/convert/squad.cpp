#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "data/convert/formats.h"
#include "data/convert/json_columns.h"
#include "data/convert/json_records.h"
#include "data/repairs.h"
#include "io/files/text_input.h"
#include "io/json/json_cursor.h"
#include "io/json/json_file.h"
#include "io/json/json_parser.h"
#include "shine/common/str.h"
#include "text/json_text.h"

namespace shine {
namespace {

bool is_impossible(const JsonCursor& qa) {
  const auto mark = qa.find("is_impossible");
  return mark && mark->boolean();
}

/// [{"text", ..}, ..] with the authors, {"text": [..], ..} on the Hub.
std::vector<std::string> read_answers(const JsonCursor& answers) {
  std::vector<std::string> texts;
  if (answers.value().is_object()) {
    const JsonCursor column = answers["text"];
    for (std::size_t i = 0; i < column.size(); ++i) {
      const JsonCursor text = column[i];
      texts.push_back(text.text());
    }
    return texts;
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const JsonCursor answer = answers[i];
    const JsonCursor text = answer["text"];
    texts.push_back(text.text());
  }
  return texts;
}

QaQuestion read_qa(const JsonCursor& qa) {
  const JsonCursor text = qa["question"];
  QaQuestion question{.question = text.text(), .answers = {}};
  const auto answers = qa.find("answers");
  if (answers) {
    const UnfoldedJson unfolded(*answers);
    question.answers = read_answers(unfolded.cursor());
  }
  return question;
}

std::string title_of(const JsonCursor& at) {
  const auto title = at.find("title");
  return title ? title->text() : std::string();
}

void convert_article(const JsonCursor& article, std::string_view default_title, QaCollector& items) {
  const std::string found = title_of(article);
  const std::string title = found.empty() ? std::string(default_title) : found;
  const JsonCursor paragraphs = article["paragraphs"];
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const JsonCursor paragraph = paragraphs[i];
    const JsonCursor context = paragraph["context"];
    QaItem item{.id = str(title, "/", i + 1), .context = context.text()};
    const JsonCursor qas = paragraph["qas"];
    for (std::size_t k = 0; k < qas.size(); ++k) {
      const JsonCursor qa = qas[k];
      if (is_impossible(qa)) {
        items.count_unanswerable();
      } else {
        item.questions.push_back(read_qa(qa));
      }
    }
    items.add(std::move(item), title);
  }
}

void convert_document(const JsonCursor& at, const std::string& name, QaCollector& items) {
  const JsonCursor articles = at["data"];
  for (std::size_t i = 0; i < articles.size(); ++i) {
    const JsonCursor article = articles[i];
    convert_article(article, str(name, "/", i + 1), items);
  }
}

/// Rows as the Hub has them, a question each: those of one context that follow each other become one item, with the id
/// that it has in the authors' file.
class Rows {
 public:
  Rows(std::string name, QaCollector& items) : name_(std::move(name)), items_(items) {}

  void add(const JsonCursor& row) {
    const JsonCursor context = row["context"];
    const std::string title = title_of(row);
    if (!item_ || title != title_ || context.text() != item_->context) {
      finish();
      title_ = title;
      const std::string& of_item = title.empty() ? name_ : title;
      item_ = QaItem{.id = str(of_item, "/", ++paragraphs_[of_item]), .context = context.text()};
    }
    QaQuestion question = read_qa(row);
    if (is_impossible(row) || question.answers.empty()) {
      items_.count_unanswerable();
    } else {
      item_->questions.push_back(std::move(question));
    }
  }

  /// After the last row.
  void finish() {
    if (item_) items_.add(*std::exchange(item_, std::nullopt), title_);
  }

 private:
  std::string name_;
  QaCollector& items_;
  std::optional<QaItem> item_;
  std::string title_;
  std::unordered_map<std::string, std::size_t> paragraphs_;
};

/// Stops at the first key of the outermost object that tells the layouts apart.
class LayoutFinder : public nlohmann::json::json_sax_t {
 public:
  bool is_records() const { return is_records_; }

  bool null() override { return depth_ > 0; }
  bool boolean(bool) override { return depth_ > 0; }
  bool number_integer(number_integer_t) override { return depth_ > 0; }
  bool number_unsigned(number_unsigned_t) override { return depth_ > 0; }
  bool number_float(number_float_t, const string_t&) override { return depth_ > 0; }
  bool string(string_t&) override { return depth_ > 0; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return ++depth_ > 0; }
  bool end_object() override { return --depth_ > 0; }
  bool start_array(std::size_t) override {
    is_records_ = depth_ == 0;
    return ++depth_ > 1;
  }
  bool end_array() override { return --depth_ > 0; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  bool key(string_t& name) override {
    if (depth_ > 1) return true;
    is_records_ = name == "question" || name == "context" || name == "paragraphs";
    return !is_records_ && name != "data";
  }

 private:
  std::size_t depth_ = 0;
  bool is_records_ = false;
};

/// Whether the file is an array or lines of records, not one document of articles, by its first 1 MiB.
bool holds_records(const std::filesystem::path& file) {
  std::string start(std::size_t{1} << 20, '\0');
  start.resize(TextInput(file, TextForm::utf8).read(start.data(), start.size()));
  LayoutFinder finder;
  nlohmann::json::sax_parse(quote_python_numbers(repair_json(start)), &finder);
  return finder.is_records();
}

}  // namespace

void convert_squad(const std::filesystem::path& file, QaCollector& items) {
  const std::string where = file.string(), name = file.stem().string();
  if (!holds_records(file)) {
    const std::string text = read_foreign_text(file, TextForm::utf8, kMaxJsonBytes);
    Repairs repairs(file);
    repairs.count(text);
    const nlohmann::json document = parse_json(repair_json(text), where);
    convert_document(JsonCursor(document, where), name, items);
    return repairs.report();
  }
  Rows rows(name, items);
  read_json_records(file, [&](std::size_t number, const std::string& at, const nlohmann::json& record) {
    const JsonCursor cursor(record, at);
    if (!cursor.find("paragraphs")) return rows.add(cursor);
    convert_article(cursor, str(name, "/", number), items);
  });
  rows.finish();
}

}  // namespace shine
