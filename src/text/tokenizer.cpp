#include "shine/text/tokenizer.h"

#include "shine/common/error.h"
#include "text/bpe/bpe_tokenizer.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "text/unicode/utf8.h"
#include "text/vocabulary_files.h"

namespace shine {
namespace {

void check_id(std::int64_t id) {
  if (id < 0) throw ConfigError(str("cannot decode the negative token id ", id));
}

/// The token's bytes, without the leading space that it loses at the start of a text.
std::string_view next_bytes(const Tokenizer& tokenizer, std::int64_t id, bool& at_start) {
  std::string_view bytes = tokenizer.token_bytes(id);
  const LeadingSpace space = at_start ? tokenizer.leading_space(id) : LeadingSpace::keep;
  if (space != LeadingSpace::keep) bytes.remove_prefix(1);
  if (!bytes.empty() || space == LeadingSpace::drop_first) at_start = false;
  return bytes;
}

}  // namespace

Encoding Tokenizer::encode(std::string_view text, SpecialTokens treatment) const {
  const TextSpan all{0, text.size()};
  if (treatment == SpecialTokens::escape) return encode_with_escapes(text, {&all, 1});
  return encode_with_escapes(text, {});
}

std::string Tokenizer::decode(std::span<const std::int64_t> ids, bool skip_special) const {
  std::string bytes;
  bool at_start = true;
  for (const std::int64_t id : ids) {
    check_id(id);
    if (!skip_special || !is_special(id)) bytes += next_bytes(*this, id, at_start);
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

bool has_tokenizer(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "tokenizer.json") || std::filesystem::exists(folder / "tokenizer.model") ||
         has_vocabulary_files(folder);
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    if (!has_tokenizer(path))
      throw IoError("neither tokenizer.json nor tokenizer.model is there, nor vocab.json with merges.txt",
                    path.string());
    const bool has_model = std::filesystem::exists(path / "tokenizer.model");
    if (has_model && !std::filesystem::exists(path / "tokenizer.json"))
      return std::make_unique<SentencePieceTokenizer>(path);
  } else if (path.extension() == ".model") {
    return std::make_unique<SentencePieceTokenizer>(path);
  }
  return std::make_unique<BpeTokenizer>(path);
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(std::int64_t id) {
  check_id(id);
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += next_bytes(*tokenizer_, id, at_start_);
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Unit unit = next_utf8_unit(rest);
    if (unit.kind == Utf8Unit::Kind::truncated) break;
    rest.remove_prefix(unit.length);
  }
  const std::string certain = pending_.substr(0, pending_.size() - rest.size());
  pending_.erase(0, certain.size());
  return replace_invalid_utf8(certain);
}

std::string StreamDecoder::finish() {
  std::string last = replace_invalid_utf8(pending_);
  pending_.clear();
  at_start_ = true;
  return last;
}

}  // namespace shine
