#include "text/bpe/bpe_tokenizer.h"

#include <algorithm>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "text/bpe/byte_level.h"
#include "text/tokenizer_file.h"
#include "text/unicode/nfc.h"
#include "text/vocabulary_files.h"

namespace shine {
namespace {

constexpr const char* kFile = "tokenizer.json";

TokenizerFile read_file(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return read_tokenizer_file(path);
  return has_vocabulary_files(path) && !std::filesystem::exists(path / kFile) ? read_vocabulary_files(path)
                                                                              : read_tokenizer_file(path / kFile);
}

std::string described(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path.string();
  return (path / (std::filesystem::exists(path / kFile) ? kFile : kVocabularyFile)).string();
}

std::string unspelled(const std::string& token) {
  return unspell_bytes(token).value_or(token);
}

}  // namespace

struct BpeTokenizer::Files {
  std::string name;  // in faults
  TokenizerFile vocabulary;
  TokensBeside beside;

  explicit Files(const std::filesystem::path& path) : name(described(path)), vocabulary(read_file(path)) {
    if (!std::filesystem::is_directory(path)) return;
    beside = read_tokens_beside(path, {vocabulary.added_tokens, vocabulary.pad_token});
    if (vocabulary.byte_level_alone && beside.add_prefix_space)
      vocabulary.pre_tokenizer.back().add_prefix_space = *beside.add_prefix_space;
  }
};

BpeTokenizer::BpeTokenizer(const std::filesystem::path& path) : BpeTokenizer(Files(path)) {}

BpeTokenizer::BpeTokenizer(Files&& files)
    : VocabularyTokenizer(std::move(files.name)),
      nfc_(files.vocabulary.nfc),
      pre_tokenizer_(std::move(files.vocabulary.pre_tokenizer)),
      model_(std::move(files.vocabulary.model)) {
  fill_names();
  for (const auto& [token, id] : files.vocabulary.added_tokens) {
    check_place(token);
    add_listed(token, id);
  }
  add_beside(files.beside);
}

void BpeTokenizer::add_beside(const TokensBeside& beside) {
  std::string first;
  std::size_t others = 0;
  for (const auto& [token, id] : beside.tokens) {
    check_place(token);
    const std::int32_t given = add(token);
    if (!id || *id == given) continue;
    others += first.empty() ? 0 : 1;
    if (first.empty())
      first = str("give ", quote_text(token.content), " the id ", *id, ", but its place gives it ", given);
  }
  if (first.empty()) return;
  log_warning(str(file_, ": the files beside it ", first, others > 0 ? str(", and so with ", others, " others") : "",
                  "; the place counts, as for AutoTokenizer of transformers"));
}

// Where ids of the vocabulary are missing, `tokenizers` gives new tokens ids that other tokens have.
void BpeTokenizer::check_place(const AddedToken& token) const {
  const auto tokens = static_cast<std::int64_t>(model_.vocabulary().size());
  const std::int64_t next = highest_added_ >= tokens ? highest_added_ + 1 : tokens;
  if (next == size() || token_to_id(token.content)) return;
  throw FormatError(str("the vocabulary has ", tokens, " tokens, but ids up to ", size() - 1,
                        ": the package `tokenizers` would give the added token ", quote_text(token.content), " the id ",
                        next, " of another token"),
                    file_, "give the vocabulary ids from 0 on without holes");
}

void BpeTokenizer::fill_names() {
  std::int32_t last = -1;
  const auto& vocabulary = model_.vocabulary();
  for (const auto& [token, id] : vocabulary) last = std::max(last, id);
  // Ids need not be dense, but a table of their size must be affordable.
  const std::size_t limit = 2 * vocabulary.size() + 65536;
  if (static_cast<std::size_t>(last + 1) > limit)
    throw FormatError(str("the vocabulary has ", vocabulary.size(), " tokens, but ids up to ", last), file_);
  names_.resize(static_cast<std::size_t>(last + 1));
  bytes_.resize(names_.size());
  for (const auto& [token, id] : vocabulary) {
    if (names_[static_cast<std::size_t>(id)]) throw FormatError(str("two tokens have the id ", id), file_);
    names_[static_cast<std::size_t>(id)] = token;
    bytes_[static_cast<std::size_t>(id)] = unspelled(token);
  }
}

std::optional<std::int32_t> BpeTokenizer::find_in_vocabulary(std::string_view token) const {
  const auto found = model_.vocabulary().find(token);
  if (found == model_.vocabulary().end()) return std::nullopt;
  return found->second;
}

void BpeTokenizer::set_added(std::int32_t id, const AddedToken& token) {
  highest_added_ = std::max<std::int64_t>(highest_added_, id);
  bytes_[static_cast<std::size_t>(id)] = unspelled(token.content);
  added_.add(token, id, nfc_ ? normalize_nfc(token.content).text : token.content);
}

// Text between added tokens, already normalised. `to_repaired` maps its positions to the repaired text.
template <class ToRepaired>
void BpeTokenizer::encode_words(std::string_view text, const TextSource& source, ToRepaired to_repaired,
                                Encoding& result) const {
  std::vector<BpeToken> tokens;
  for (const Piece& piece : pre_tokenizer_.split(text)) {
    const std::string_view inside = text.substr(piece.span.begin, piece.span.end - piece.span.begin);
    const std::size_t added_bytes = piece.prefix_space ? 1 : 0;
    tokens.clear();
    model_.tokenize(piece.prefix_space ? ' ' + std::string(inside) : inside, tokens);
    for (const BpeToken& token : tokens) {
      // A space put before the text counts as its first character.
      const std::size_t begin = std::max<std::size_t>(token.begin, added_bytes) - added_bytes;
      const std::size_t end = std::max<std::size_t>(token.end, added_bytes + 1) - added_bytes;
      const TextSpan span = whole_characters(text, {piece.span.begin + begin, piece.span.begin + end});
      result.ids.push_back(token.id);
      result.offsets.push_back(source.original(to_repaired(span)));
    }
  }
}

void BpeTokenizer::encode_part(std::string_view part, std::size_t start, const TextSource& source,
                               Encoding& result) const {
  NormalizedText normalized;
  const bool changes = nfc_ && !is_plainly_nfc(part);
  if (changes) normalized = normalize_nfc(part);
  const std::string_view text = changes ? std::string_view(normalized.text) : part;
  const auto to_repaired = [&](TextSpan span) {
    const TextSpan before = normalized.offsets.to_source(span);
    return TextSpan{before.begin + start, before.end + start};
  };
  const auto is_escaped = [&](TextSpan span) { return source.is_escaped(to_repaired(span)); };
  for (const auto& [id, span] : added_.split(text, AddedVocabulary::Form::normalized, is_escaped)) {
    if (id) {
      result.ids.push_back(*id);
      result.offsets.push_back(source.original(to_repaired(span)));
      continue;
    }
    const std::size_t begin = span.begin;
    encode_words(
        text.substr(begin, span.end - begin), source,
        [&](TextSpan inner) {
          return to_repaired({inner.begin + begin, inner.end + begin});
        },
        result);
  }
}

}  // namespace shine
