#include "text/unicode/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <map>

#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "text/unicode/utf8.h"

namespace shine {
namespace {

constexpr std::size_t kJitStackStart = 64 << 10;
constexpr std::size_t kJitStackMax = 16 << 20;
constexpr std::uint32_t kMatchMemoryKiB = 1 << 20;
constexpr std::size_t kSmallestMatchLimit = 100'000;
constexpr std::size_t kMatchLimitPerByte = 64;

// Oniguruma counts the six digits and fractions of Latin-1 as well.
constexpr std::string_view kWordClass = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE)";

bool compiles(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

// Names of properties as Oniguruma compares them: letters alone, of either case.
std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

// The long names of general categories, and Oniguruma's own names, that PCRE2 lacks.
std::string_view short_property(const std::string& plain) {
  static const std::map<std::string, std::string_view> names = {
      {"letter", "L"},
      {"uppercaseletter", "Lu"},
      {"lowercaseletter", "Ll"},
      {"titlecaseletter", "Lt"},
      {"modifierletter", "Lm"},
      {"otherletter", "Lo"},
      {"mark", "M"},
      {"nonspacingmark", "Mn"},
      {"spacingmark", "Mc"},
      {"enclosingmark", "Me"},
      {"number", "N"},
      {"decimalnumber", "Nd"},
      {"digit", "Nd"},
      {"letternumber", "Nl"},
      {"othernumber", "No"},
      {"punctuation", "P"},
      {"connectorpunctuation", "Pc"},
      {"dashpunctuation", "Pd"},
      {"openpunctuation", "Ps"},
      {"closepunctuation", "Pe"},
      {"initialpunctuation", "Pi"},
      {"finalpunctuation", "Pf"},
      {"otherpunctuation", "Po"},
      {"symbol", "S"},
      {"mathsymbol", "Sm"},
      {"currencysymbol", "Sc"},
      {"modifiersymbol", "Sk"},
      {"othersymbol", "So"},
      {"separator", "Z"},
      {"spaceseparator", "Zs"},
      {"lineseparator", "Zl"},
      {"paragraphseparator", "Zp"},
      {"other", "C"},
      {"control", "Cc"},
      {"cntrl", "Cc"},
      {"format", "Cf"},
      {"privateuse", "Co"},
      {"space", "White_Space"},
      {"alpha", "Alphabetic"},
      {"lower", "Lowercase"},
      {"upper", "Uppercase"},
  };
  const auto found = names.find(plain);
  return found == names.end() ? std::string_view() : found->second;
}

// Rewrites a pattern of Oniguruma's Ruby syntax for PCRE2.
class PatternTranslator {
 public:
  PatternTranslator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string translate() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        translate_escape();
      } else if (in_class_) {
        translate_in_class();
      } else {
        translate_outside(c);
      }
    }
    close_options();
    return result_;
  }

 private:
  std::string_view rest() const { return pattern_.substr(at_); }

  [[noreturn]] void refuse(std::string_view construct) const {
    throw UnsupportedError(str("the pattern ", quote_text(pattern_), " uses ", quote_text(construct), " at byte ", at_,
                               ", which this program does not support"),
                           where_);
  }

  void copy(std::size_t count) {
    result_.append(pattern_, at_, count);
    at_ += std::min(count, pattern_.size() - at_);
  }

  void replace(std::size_t count, std::string_view text) {
    result_ += text;
    at_ += count;
  }

  void translate_escape() {
    if (at_ + 1 == pattern_.size()) refuse("a trailing backslash");
    switch (pattern_[at_ + 1]) {
      case 's': return replace(2, R"(\p{White_Space})");
      case 'S': return replace(2, R"(\P{White_Space})");
      case 'd': return replace(2, R"(\p{Nd})");
      case 'D': return replace(2, R"(\P{Nd})");
      case 'w': return replace(2, in_class_ ? std::string(kWordClass) : str('[', kWordClass, ']'));
      case 'W':
        if (in_class_) refuse("\\W in a class");
        return replace(2, str("[^", kWordClass, ']'));
      case 'v': return replace(2, R"(\x0B)");  // PCRE2's \v is any vertical space
      case 'p':
      case 'P': return translate_property();
      default: break;
    }
    constexpr std::string_view shared = "xnrtfaeAz";
    const char letter = pattern_[at_ + 1];
    const bool is_literal = std::isalnum(static_cast<unsigned char>(letter)) == 0;
    if (!is_literal && shared.find(letter) == std::string_view::npos) refuse(pattern_.substr(at_, 2));
    copy(2);
    const std::size_t end = !is_literal && rest().starts_with('{') ? rest().find('}') : std::string_view::npos;
    if (end != std::string_view::npos) copy(end + 1);
  }

  // Without braces the letter stands for itself. A script is that of a character, where PCRE2 means its extensions.
  void translate_property() {
    const std::string kind(pattern_.substr(at_, 2));
    const std::string_view after = rest().substr(2);
    if (!after.starts_with('{')) return replace(2, kind.substr(1));
    const std::size_t end = after.find('}');
    if (end == std::string_view::npos) refuse(kind + "{ without }");
    std::string_view name = after.substr(1, end - 1);
    const std::string_view negation = name.starts_with('^') ? "^" : "";
    name.remove_prefix(negation.size());
    if (name.find_first_of(":=&") != std::string_view::npos) refuse(pattern_.substr(at_, end + 3));
    const std::string plain = plain_name(name);
    const std::string_view known = short_property(plain);
    const std::string script = str("sc:", plain);
    const bool is_script = known.empty() && plain.size() > 2 && compiles(str("\\p{", script, '}'));
    replace(end + 3, str(kind, '{', negation, is_script ? script : std::string(known.empty() ? name : known), '}'));
  }

  void translate_in_class() {
    if (rest().starts_with('[')) refuse("a nested class");
    if (rest().starts_with("&&")) refuse("an intersection of classes");
    if (rest().starts_with(']')) in_class_ = false;
    copy(1);
  }

  void translate_outside(char c) {
    if (c == '[') {
      in_class_ = true;
      copy(rest().starts_with("[^") ? 2 : 1);
      if (rest().starts_with(']')) refuse("an empty class");
      return;
    }
    if (c == '{' && rest().starts_with("{,")) refuse("a repetition without a lower bound");
    if (c == '{') check_repetition();
    if (rest().starts_with("(*")) refuse("(*");
    if (rest().starts_with("(?")) return translate_group();
    if (c == '(') options_.push_back(0);
    if (c == ')') {
      close_options();
      if (!options_.empty()) options_.pop_back();
    }
    copy(1);
  }

  // A possessive counted repetition repeats a counted one in Oniguruma, and {n}? is {0,n} that takes n or nothing.
  void check_repetition() const {
    const std::size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos || end + 1 == pattern_.size()) return;
    const std::string_view bounds = pattern_.substr(at_ + 1, end - at_ - 1);
    if (bounds.empty() || bounds.find_first_not_of("0123456789,") != std::string_view::npos) return;
    if (pattern_[end + 1] == '+') refuse("'+' after a counted repetition");
    if (pattern_[end + 1] == '?' && bounds.find(',') == std::string_view::npos)
      refuse("'?' after a counted repetition");
  }

  // The letters of inline options mean different things, apart from i and x; PCRE2 alone has recursion, conditions and
  // branch resets. Options without a group of their own hold to the end of the group that they stand in, with all the
  // alternatives there: "a(?i)b|c" is "a(?i:b|c)".
  void translate_group() {
    const std::size_t start = at_ + 2;
    const std::size_t end = std::min(pattern_.find_first_not_of("ix-", start), pattern_.size());
    const std::string_view kinds = end == start ? ":=!<>#" : ":)";
    if (end == pattern_.size() || kinds.find(pattern_[end]) == std::string_view::npos)
      refuse(pattern_.substr(at_, end + 1 - at_));
    if (pattern_[end] == '#') return skip_comment();
    const std::string_view letters = pattern_.substr(start, end - start);
    if (letters.find('x') != std::string_view::npos && pattern_.find('#') != std::string_view::npos)
      refuse("option x with comments");
    if (pattern_[end] != ')') {
      options_.push_back(0);
      return copy(end - at_);
    }
    if (options_.empty()) options_.push_back(0);
    ++options_.back();
    replace(end + 1 - at_, str("(?", letters, ':'));
  }

  void skip_comment() {
    const std::size_t end = pattern_.find_first_of(")\\", at_);
    if (end == std::string_view::npos || pattern_[end] != ')') refuse("(?#");
    replace(end + 1 - at_, "");
  }

  // Of the group that ends here.
  void close_options() {
    if (!options_.empty()) result_.append(options_.back(), ')');
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::vector<std::size_t> options_ = {0};  // by open group: option groups that end with it
  std::string result_;
};

// What a thread needs to match; kept, since creating it costs more than a match.
struct MatchWorkspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);

  MatchWorkspace() {
    if (context) pcre2_set_heap_limit(context, kMatchMemoryKiB);
    if (context && stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchWorkspace() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  MatchWorkspace(const MatchWorkspace&) = delete;
  MatchWorkspace& operator=(const MatchWorkspace&) = delete;
};

MatchWorkspace& match_workspace() {
  thread_local MatchWorkspace workspace;
  if (!workspace.data || !workspace.context) throw Error("no memory for matching patterns");
  return workspace;
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  std::string pattern;

  Code(std::string_view source, std::uint32_t options, const std::string& where) : pattern(source) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    const std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
        pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
    if (!context) throw Error("no memory for compiling patterns");
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | options, &error,
                         &offset, context.get());
    if (!code)
      throw UnsupportedError(
          str("cannot compile the pattern ", quote_text(pattern), ": ", pcre2_message(error), " at byte ", offset),
          where);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it is refused, the interpreter matches
  }
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Regex::Regex(std::string_view pattern, const std::string& where)
    : code_(std::make_shared<const Code>(PatternTranslator(pattern, where).translate(), PCRE2_UCP | PCRE2_MULTILINE,
                                         where)) {}

Regex Regex::literal(std::string_view text, const std::string& where) {
  Regex regex;
  regex.code_ = std::make_shared<const Code>(text, PCRE2_LITERAL, where);
  return regex;
}

bool Regex::find(std::string_view text, std::size_t from, TextSpan& found) const {
  MatchWorkspace& workspace = match_workspace();
  const std::size_t limit = std::max(kSmallestMatchLimit, kMatchLimitPerByte * text.size());
  pcre2_set_match_limit(workspace.context, static_cast<std::uint32_t>(std::min<std::size_t>(
                                               limit, std::numeric_limits<std::uint32_t>::max())));
  const auto match = [&](std::uint32_t options) {
    return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, workspace.data, workspace.context);
  };
  int status = match(0);
  if (status == PCRE2_ERROR_JIT_STACKLIMIT) status = match(PCRE2_NO_JIT);
  if (status == PCRE2_ERROR_NOMATCH) return false;
  if (status < 0)
    throw Error(
        str("matching ", quote_text(code_->pattern), " in ", text.size(), " bytes failed: ", pcre2_message(status)));
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(workspace.data);
  found = {span[0], span[1]};
  return true;
}

std::vector<TextSpan> Regex::find_all(std::string_view text) const {
  std::vector<TextSpan> matches;
  TextSpan found;
  for (std::size_t from = 0; from <= text.size() && find(text, from, found);) {
    const bool repeats = found.begin == found.end && !matches.empty() && matches.back().end == found.end;
    if (!repeats) {
      matches.push_back(found);
      from = found.end;
    } else {
      from += from < text.size() ? next_utf8_unit(text.substr(from)).length : 1;
    }
  }
  return matches;
}

bool Regex::matches(std::string_view text) const {
  TextSpan found;
  return find(text, 0, found);
}

}  // namespace shine
