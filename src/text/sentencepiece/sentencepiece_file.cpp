#include "text/sentencepiece/sentencepiece_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <unordered_set>

#include "io/files/text_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/sentencepiece/wire_reader.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kLargestFile = std::size_t{256} << 20;
constexpr std::size_t kMostPieces = 4'000'000;
constexpr std::size_t kLongestPiece = 4096;
constexpr std::size_t kLongestReplacement = 1024;

class FileReader {
 public:
  explicit FileReader(std::string file) : file_(std::move(file)) {}

  SentencePieceData read(std::string_view message) {
    WireReader reader(message, file_);
    while (const auto field = reader.next()) {
      switch (field->number) {
        case 1: read_piece(reader.text(*field)); break;
        case 2: read_trainer(reader.text(*field)); break;
        case 3: read_normalizer(reader.text(*field)); break;
        case 5: read_denormalizer(reader.text(*field)); break;
        default: break;  // self tests, extensions
      }
    }
    check_pieces();
    return std::move(data_);
  }

 private:
  void read_piece(std::string_view message) {
    const std::string where = str(file_, ": piece ", data_.pieces.size());
    if (data_.pieces.size() == kMostPieces) throw FormatError(str("more than ", kMostPieces, " pieces"), file_);
    SentencePiece piece;
    WireReader reader(message, where);
    while (const auto field = reader.next()) {
      switch (field->number) {
        case 1: piece.text = reader.text(*field); break;
        case 2: piece.score = reader.number(*field); break;
        case 3: {
          const std::int64_t type = reader.integer(*field);
          if (type < 1 || type > 6) throw FormatError(str("its type is ", type, ", expected 1 to 6"), where);
          piece.type = static_cast<PieceType>(type);
          break;
        }
        default: break;
      }
    }
    if (piece.text.empty()) throw FormatError("it is empty", where);
    if (piece.text.size() > kLongestPiece)
      throw FormatError(str("it has ", piece.text.size(), " bytes, expected at most ", kLongestPiece), where);
    if (!is_valid_utf8(piece.text)) throw FormatError("it is not valid UTF-8", where);
    if (!std::isfinite(piece.score)) throw FormatError("its score is not finite", where);
    data_.pieces.push_back(std::move(piece));
  }

  void read_trainer(std::string_view message) {
    WireReader reader(message, file_ + ": trainer_spec");
    while (const auto field = reader.next()) {
      switch (field->number) {
        case 3: read_kind(reader.integer(*field)); break;
        case 24:
          if (reader.flag(*field)) throw UnsupportedError("white space as suffix of words is not supported", file_);
          break;
        case 35: data_.byte_fallback = reader.flag(*field); break;
        case 44:
          data_.unknown_text = reader.text(*field);
          if (data_.unknown_text.size() > kLongestPiece || !is_valid_utf8(data_.unknown_text))
            throw FormatError("unk_surface is too long or not valid UTF-8", file_);
          break;
        default: break;
      }
    }
  }

  void read_kind(std::int64_t kind) {
    if (kind < 1 || kind > 4) throw FormatError(str("model_type is ", kind, ", expected 1 to 4"), file_);
    if (kind > 2)
      throw UnsupportedError(str(kind == 3 ? "word" : "character", " models of sentencepiece are not supported"), file_,
                             "use a unigram or BPE model");
    data_.kind = static_cast<SentencePieceKind>(kind);
  }

  void read_normalizer(std::string_view message) {
    WireReader reader(message, file_ + ": normalizer_spec");
    while (const auto field = reader.next()) {
      switch (field->number) {
        case 2: read_replacements(reader.text(*field)); break;
        case 3: data_.rules.dummy_prefix = reader.flag(*field); break;
        case 4: data_.rules.remove_extra_spaces = reader.flag(*field); break;
        case 5:
          if (!reader.flag(*field)) throw UnsupportedError("escape_whitespaces = false is not supported", file_);
          break;
        default: break;
      }
    }
  }

  void read_denormalizer(std::string_view message) {
    WireReader reader(message, file_ + ": denormalizer_spec");
    while (const auto field = reader.next()) {
      if (field->number == 2 && !reader.text(*field).empty())
        throw UnsupportedError("a denormalizer (rules for decoded texts) is not supported", file_);
    }
  }

  /// Four bytes with the size of the trie, the trie, the replacements.
  void read_replacements(std::string_view blob) {
    data_.rules.trie.clear();
    data_.rules.replacements.clear();
    if (blob.empty()) return;
    const std::string where = file_ + ": precompiled_charsmap";
    std::uint32_t size = 0;
    if (blob.size() > sizeof size) std::memcpy(&size, blob.data(), sizeof size);
    if (size == 0 || size % sizeof(std::uint32_t) != 0 || size > blob.size() - sizeof size)
      throw FormatError(str("a trie of ", size, " bytes in ", blob.size(), " bytes"), where);
    data_.rules.trie.resize(size / sizeof(std::uint32_t));
    std::memcpy(data_.rules.trie.data(), blob.data() + sizeof size, size);
    data_.rules.replacements = blob.substr(sizeof size + size);
    const std::string& texts = data_.rules.replacements;
    if (texts.empty() || texts.back() != '\0') throw FormatError("its last text has no end", where);
    for (std::size_t begin = 0; begin < texts.size();) {
      const std::size_t end = texts.find('\0', begin);
      if (end - begin > kLongestReplacement) throw FormatError(str("a text of ", end - begin, " bytes"), where);
      begin = end + 1;
    }
  }

  void check_pieces() {
    const std::vector<SentencePiece>& pieces = data_.pieces;
    if (pieces.empty()) throw FormatError("it holds no pieces", file_, "expected a sentencepiece model");
    std::unordered_set<std::string_view> seen;
    data_.unknown = -1;
    data_.bytes.fill(-1);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (!seen.insert(pieces[i].text).second)
        throw FormatError(str("piece ", i, ": ", quote_text(pieces[i].text), " is there twice"), file_);
      const auto id = static_cast<std::int32_t>(i);
      if (pieces[i].type == PieceType::byte) add_byte(pieces[i].text, id);
      if (pieces[i].type != PieceType::unknown) continue;
      if (data_.unknown >= 0) throw FormatError(str("pieces ", data_.unknown, " and ", i, " are both unknown"), file_);
      data_.unknown = id;
    }
    if (data_.unknown < 0) throw FormatError("no piece is of the type unknown", file_);
    if (data_.byte_fallback && std::find(data_.bytes.begin(), data_.bytes.end(), -1) != data_.bytes.end())
      throw FormatError("byte_fallback is set, but not every byte has a piece", file_);
  }

  void add_byte(const std::string& text, std::int32_t id) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const std::size_t high = text.size() == 6 ? digits.find(text[3]) : std::string::npos;
    const std::size_t low = text.size() == 6 ? digits.find(text[4]) : std::string::npos;
    if (high > 15 || low > 15 || !text.starts_with("<0x") || text[5] != '>')
      throw FormatError(str("piece ", id, ": ", quote_text(text), " of the type byte, expected <0x00> to <0xFF>"),
                        file_);
    if (!data_.byte_fallback) throw FormatError(str("piece ", id, " is a byte, but byte_fallback is not set"), file_);
    data_.bytes[high * 16 + low] = id;
  }

  std::string file_;
  SentencePieceData data_;
};

}  // namespace

SentencePieceData read_sentencepiece_file(const std::filesystem::path& path) {
  const std::string content = read_text_file(path, kLargestFile);
  return FileReader(path.string()).read(content);
}

}  // namespace shine
