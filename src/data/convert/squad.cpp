#include <nlohmann/json.hpp>

#include "data/convert/formats.h"
#include "io/files/text_file.h"
#include "io/json/json_cursor.h"
#include "io/json/json_file.h"
#include "shine/common/str.h"
#include "text/json_text.h"

namespace shine {
namespace {

bool is_impossible(const JsonCursor& qa) {
  const auto mark = qa.find("is_impossible");
  return mark && mark->boolean();
}

QaQuestion read_qa(const JsonCursor& qa) {
  const JsonCursor text = qa["question"];
  QaQuestion question{.question = text.text(), .answers = {}};
  const auto answers = qa.find("answers");
  for (std::size_t i = 0; answers && i < answers->size(); ++i) {
    const JsonCursor answer = (*answers)[i];
    const JsonCursor answer_text = answer["text"];
    question.answers.push_back(answer_text.text());
  }
  return question;
}

void convert_article(const JsonCursor& article, std::string_view default_title, QaCollector& items) {
  const auto found = article.find("title");
  const std::string title = found && !found->text().empty() ? found->text() : std::string(default_title);
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

}  // namespace

void convert_squad(const std::filesystem::path& file, QaCollector& items) {
  const nlohmann::json document = parse_json(repair_json(read_text_file(file, kMaxJsonBytes)), file.string());
  const std::string where = file.string();
  const JsonCursor at(document, where);
  const JsonCursor articles = at["data"];
  for (std::size_t i = 0; i < articles.size(); ++i) {
    const JsonCursor article = articles[i];
    convert_article(article, str(file.stem().string(), "/", i + 1), items);
  }
}

}  // namespace shine
