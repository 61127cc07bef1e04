#include "io/json/json_parser.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/json/json_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMaxDepth = 128;

/// An iterator that tells its position: nlohmann's SAX events carry none.
class TrackedIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// NaN, Infinity and -Infinity in a text, which Python's json writes and JSON has not. Each is a string of its length
/// in `text()`, known by the place where it ends.
class PythonNumbers {
 public:
  explicit PythonNumbers(std::string_view text) : text_(text) {
    if (text.find(kNan) == std::string_view::npos && text.find(kInfinity) == std::string_view::npos) return;
    bool in_string = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (in_string && text[at] == '\\') {
        ++at;
      } else if (text[at] == '"') {
        in_string = !in_string;
      } else if (!in_string && text.substr(at).starts_with(kNan)) {
        replace(at, kNan.size(), std::numeric_limits<double>::quiet_NaN());
      } else if (!in_string && text.substr(at).starts_with(kInfinity)) {
        const bool negative = at > 0 && text[at - 1] == '-';
        const double infinity = std::numeric_limits<double>::infinity();
        replace(negative ? at - 1 : at, kInfinity.size() + (negative ? 1 : 0), negative ? -infinity : infinity);
      }
    }
    if (!numbers_.empty()) text_ = replaced_;
  }
  PythonNumbers(const PythonNumbers&) = delete;
  PythonNumbers& operator=(const PythonNumbers&) = delete;

  std::string_view text() const { return text_; }

  /// The number whose string ends before `end`, or null.
  const double* find(std::size_t end) const {
    const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), end,
                                        [](const auto& number, std::size_t value) { return number.first < value; });
    return found != numbers_.end() && found->first == end ? &found->second : nullptr;
  }

 private:
  static constexpr std::string_view kNan = "NaN", kInfinity = "Infinity";

  void replace(std::size_t begin, std::size_t length, double value) {
    if (numbers_.empty()) replaced_ = text_;
    replaced_[begin] = replaced_[begin + length - 1] = '"';
    numbers_.emplace_back(begin + length, value);
  }

  std::string_view text_;
  std::string replaced_;
  std::vector<std::pair<std::size_t, double>> numbers_;
};

/// Builds the value from SAX events, refusing duplicate keys and deep nesting.
class Builder : public nlohmann::json_sax<Json> {
 public:
  struct Fault {
    std::string what;
    std::size_t byte = 0;  ///< position in the text, from 1
  };

  Builder(const PythonNumbers& numbers, const char* const* furthest, std::size_t max_values)
      : numbers_(numbers), furthest_(furthest), max_values_(max_values) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override {
    const double* number = numbers_.find(position());
    return number != nullptr ? add(*number) : add(std::move(value));
  }
  bool binary(binary_t&) override { return fail("binary value"); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    if (numbers_.find(position()) != nullptr) return fail("a number where a key is expected");
    const auto [member, is_new] = open_.back()->get_ref<Json::object_t&>().try_emplace(value);
    if (!is_new) return fail(str("duplicate key ", quote_text(value)));
    slot_ = &member->second;
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    fault_ = {strip(error.what()), byte};
    return false;
  }

  Json take() { return std::move(root_); }
  const Fault& fault() const { return fault_; }

 private:
  Json* place(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
    *slot_ = std::move(value);
    return slot_;
  }

  bool add(Json&& value) {
    if (++values_ > max_values_) return fail(str("more than ", max_values_, " values"));
    place(std::move(value));
    return true;
  }

  bool open(Json&& container) {
    if (++values_ > max_values_) return fail(str("more than ", max_values_, " values"));
    if (open_.size() == kMaxDepth) return fail(str("more than ", kMaxDepth, " nested arrays and objects"));
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  /// Bytes of the text that were read: up to the end of the string or number at hand.
  std::size_t position() const { return static_cast<std::size_t>(*furthest_ - numbers_.text().data()); }

  bool fail(std::string what) {
    fault_ = {std::move(what), position()};
    return false;
  }

  /// "[json.exception..] parse error at line 1, column 5: what; last read: 'raw bytes'" becomes "what".
  static std::string strip(std::string message) {
    for (const char* prefix : {"] ", "parse error at line "}) {
      const std::size_t at = message.find(prefix);
      if (at == std::string::npos) continue;
      message.erase(0, prefix[0] == ']' ? at + 2 : message.find(": ", at) + 2);
    }
    return message.substr(0, message.find("; last read"));
  }

  const PythonNumbers& numbers_;
  const char* const* furthest_;
  std::size_t max_values_;
  Json root_;
  std::vector<Json*> open_;
  Json* slot_ = nullptr;
  std::size_t values_ = 0;
  Fault fault_;
};

}  // namespace

std::string quote_python_numbers(std::string_view text) {
  return std::string(PythonNumbers(text).text());
}

Json parse_json_from_line(std::string_view text, const std::string& where, std::size_t first_line,
                          std::size_t max_values) {
  const PythonNumbers numbers(text);
  const char* const begin = numbers.text().data();
  const char* const end = begin + text.size();
  const char* furthest = begin;
  Builder builder(numbers, &furthest, max_values);
  const bool parsed = Json::sax_parse(TrackedIterator(begin, &furthest), TrackedIterator(end, &furthest), &builder);
  const std::size_t zero = text.find('\0');  // nlohmann takes a zero byte for the end of the text
  if (parsed && zero == std::string_view::npos) return builder.take();
  const Builder::Fault fault = parsed ? Builder::Fault{"a zero byte", zero + 1} : builder.fault();
  const std::size_t at = std::min(std::max<std::size_t>(fault.byte, 1) - 1, text.size());
  const std::string_view before = text.substr(0, at);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  const auto line = first_line + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  throw FormatError(fault.what, str(where, ":", line, ":", at - line_start + 1));
}

}  // namespace shine
