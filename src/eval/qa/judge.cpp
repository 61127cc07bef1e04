#include "eval/qa/judge.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "data/pretrain/words.h"
#include "io/files/posix_file.h"
#include "io/files/text_file.h"
#include "io/json/quote_text.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

constexpr const char* kWhere = "evaluation.judge";
constexpr const char* kCure = "the command must write one number a line, one for each line that it reads";

/// A file in the system's temporary folder, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content) {
    std::string pattern = (std::filesystem::temp_directory_path() / "shine-judge-XXXXXX").string();
    const int number = mkstemp(pattern.data());
    path_ = pattern;
    if (number < 0) throw_errno("make a temporary file", path_);
    close(number);
    write_file_atomically(path_, content);
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

/// What the command writes to its standard output, at most `max_bytes` of it. Its input is a file: it may read and
/// write in any order.
std::string run_command(const std::string& command, const std::filesystem::path& input, std::size_t max_bytes) {
  const std::string line = "{ " + command + "\n} < " + shell_word(input.string());
  FILE* const pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw IoError("the shell cannot be run", kWhere);
  std::string output;
  char buffer[1 << 14];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) {
    if (output.size() <= max_bytes) output.append(buffer, count);
  }
  const int status = pclose(pipe);
  if (WIFSIGNALED(status)) throw Error(str("the command was ended by signal ", WTERMSIG(status)), kWhere);
  if (status != 0) throw Error(str("the command ended with status ", WEXITSTATUS(status)), kWhere);
  if (output.size() > max_bytes) throw Error(str("the command wrote more than ", max_bytes, " bytes"), kWhere, kCure);
  return output;
}

std::optional<double> read_number(std::string_view text) {
  double value = 0.0;
  const char* const end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, value);
  if (fault != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace

std::vector<double> judge_answers(const std::string& command, const std::vector<AnswerRecord>& answers) {
  constexpr std::size_t bytes_per_answer = 1 << 10;
  std::string text;
  for (const AnswerRecord& record : answers) text += record_json(record) + '\n';
  const TemporaryFile input(text);
  const std::string output = run_command(command, input.path(), (answers.size() + 1) * bytes_per_answer);

  const std::vector<std::string_view> lines = lines_of(output);
  if (lines.size() != answers.size()) {
    throw Error(str("expected ", answers.size(), " lines, found ", lines.size()), kWhere, kCure);
  }
  std::vector<double> scores;
  for (const std::string_view line : lines) {
    const auto score = read_number(trim_whitespace(line));
    if (!score) {
      throw Error(str("line ", scores.size() + 1, ": expected a number, found ", quote_text(line)), kWhere, kCure);
    }
    scores.push_back(*score);
  }
  return scores;
}

std::string judge_text(const std::vector<AnswerRecord>& answers, const std::vector<double>& scores) {
  std::string text;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    nlohmann::ordered_json line;
    line["method"] = enum_name(answers[i].method);
    line["item"] = answers[i].item;
    line["conversation"] = answers[i].conversation;
    line["turn"] = answers[i].turn;
    line["judge"] = scores[i];
    text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  }
  return text;
}

}  // namespace shine
