#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "data/repairs.h"
#include "io/files/text_lines.h"

namespace shine {

/// A document's bytes as its file has them: of .txt the lines between separators, of .jsonl its line.
struct RawDocument {
  std::size_t line = 0;  ///< of the file, from 1; of .txt its last one
  std::string bytes;
};

/// A document as training takes it.
struct DocumentText {
  std::string text;       ///< empty: blank
  bool repaired = false;  ///< see Documents
};

/// How a kind of file holds documents.
class DocumentFormat {
 public:
  /// @param field  the key of a .jsonl object that holds the text
  /// Throws ConfigError for another file extension.
  explicit DocumentFormat(const std::filesystem::path& file, std::string field = "text");

  bool is_jsonl() const { return is_jsonl_; }

  /// May be called from several threads at once. Throws FormatError "file:line: .." (broken JSON, no such field, or no
  /// string in it).
  DocumentText read(const RawDocument& raw) const;

 private:
  std::filesystem::path file_;
  std::string field_;
  bool is_jsonl_ = false;
};

/// The documents of one file in order, one in memory at a time.
class DocumentReader {
 public:
  /// @param separator  as in DocumentOptions. Throws as TextInput and DocumentFormat.
  DocumentReader(const std::filesystem::path& file, std::string_view separator);

  /// False at the end. Throws as TextLines.
  bool next(RawDocument& raw);

  /// After the last document that is wanted: as Repairs::report.
  void report() const { repairs_.report(); }

  /// As ByteSource::position.
  std::size_t position() const { return lines_.position(); }

 private:
  bool next_line(RawDocument& raw);
  bool next_part(RawDocument& raw);

  bool is_jsonl_;
  std::string separator_;
  TextLines lines_;
  Repairs repairs_;
};

}  // namespace shine
