#include "data/pretrain/document_reader.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "data/pretrain/words.h"
#include "io/json/json_parser.h"
#include "io/json/jsonl.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/json_text.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

std::string unix_line_ends(std::string text) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    text[kept++] = text[i];
  }
  text.resize(kept);
  return text;
}

DocumentText read_plain(std::string_view bytes) {
  const bool valid = is_valid_utf8(bytes);
  const std::string text = unix_line_ends(valid ? std::string(bytes) : replace_invalid_utf8(bytes));
  return {std::string(trim_whitespace(text)), !valid};
}

}  // namespace

DocumentFormat::DocumentFormat(const std::filesystem::path& file, std::string field)
    : file_(file), field_(std::move(field)) {
  const std::string kind = inner_extension(file);
  is_jsonl_ = kind == ".jsonl";
  if (is_jsonl_ || kind == ".txt") return;
  throw ConfigError(str("unknown kind of text file ", quote_text(kind)), file.string(),
                    "use .txt or .jsonl, packed as .gz or .zst or not");
}

DocumentText DocumentFormat::read(const RawDocument& raw) const {
  if (!is_jsonl_) return read_plain(raw.bytes);
  const auto fail = [&](std::string_view what) {
    throw FormatError(what, str(file_.string(), ":", raw.line),
                      str("each line must be like {\"", field_, "\": \"...\"}"));
  };
  const std::string repaired = repair_json(raw.bytes);
  nlohmann::json value = parse_json_from_line(repaired, file_.string(), raw.line);
  if (!value.is_object()) fail(str("expected an object, found ", value.type_name()));
  const auto found = value.find(field_);
  if (found == value.end()) fail(str("the object has no key `", field_, "`"));
  if (!found->is_string()) fail(str("expected a string in `", field_, "`, found ", found->type_name()));
  DocumentText document{std::move(found->get_ref<std::string&>()), repaired != raw.bytes};
  if (is_blank(document.text)) document.text.clear();
  return document;
}

DocumentReader::DocumentReader(const std::filesystem::path& file, std::string_view separator)
    : is_jsonl_(DocumentFormat(file).is_jsonl()),
      separator_(trim_whitespace(separator)),
      lines_(file, is_jsonl_ ? TextForm::utf8 : TextForm::any, is_jsonl_ ? kMaxJsonlLineBytes : std::string::npos),
      repairs_(file) {}

bool DocumentReader::next(RawDocument& raw) {
  if (!(is_jsonl_ ? next_line(raw) : next_part(raw))) return false;
  repairs_.count(raw.bytes);
  return true;
}

bool DocumentReader::next_line(RawDocument& raw) {
  for (std::string_view line; lines_.next(line);) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    raw.line = lines_.number();
    raw.bytes = line;
    return true;
  }
  return false;
}

bool DocumentReader::next_part(RawDocument& raw) {
  raw.bytes.clear();
  bool has_text = false;
  for (std::string_view line; lines_.next(line);) {
    if (trim_whitespace(line) != separator_) {
      raw.bytes.append(line).append("\n");
      has_text = true;
      continue;
    }
    raw.line = lines_.number();
    if (has_text || !separator_.empty()) return true;
  }
  raw.line = lines_.number();
  return has_text;
}

}  // namespace shine
