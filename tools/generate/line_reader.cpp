#include "generate/line_reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <exception>
#include <string_view>
#include <utility>

#include "shine/common/error.h"

namespace shine {
namespace {

constexpr int kHistoryLines = 1000;
constexpr wchar_t kReplacement = 0xfffd;

/// libedit edits characters, which the C library tells apart by the locale.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::string without_line_end(std::string line) {
  line.erase(line.find_last_not_of("\r\n") + 1);
  return line;
}

}  // namespace

int InputBytes::next() {
  while (begin_ == end_) {
    pollfd waited[] = {{STDIN_FILENO, POLLIN, 0}, {interrupts_.descriptor(), POLLIN, 0}};
    if (::poll(waited, 2, /*timeout=*/-1) < 0) {
      if (errno == EINTR) continue;
      throw IoError(std::strerror(errno), "standard input");
    }
    if (interrupts_.take()) {
      begin_ = end_ = 0;
      return kInterrupted;
    }
    if (waited[0].revents == 0) continue;
    const ssize_t count = ::read(STDIN_FILENO, buffer_, sizeof buffer_);
    if (count == 0) return kEnd;
    if (count < 0 && errno == EIO) return kEnd;  // the terminal is gone
    if (count < 0 && errno != EINTR && errno != EAGAIN) throw IoError(std::strerror(errno), "standard input");
    begin_ = 0;
    end_ = count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  return static_cast<unsigned char>(buffer_[begin_++]);
}

/// libedit calls back for prompt and characters; a fault in there is kept until it has returned.
class LineReader::Editor {
 public:
  explicit Editor(InputBytes& bytes) : bytes_(bytes) {
    use_utf8();
    edit_ = ::el_init("shine_generate", stdin, stdout, stderr);
    history_ = ::history_init();
    if (edit_ == nullptr || history_ == nullptr) throw IoError("lines cannot be edited", "terminal", "set TERM");
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, kHistoryLines);
    ::history(history_, &event, H_SETUNIQUE, 1);
    ::el_set(edit_, EL_CLIENTDATA, this);
    ::el_set(edit_, EL_EDITOR, "emacs");
    ::el_set(edit_, EL_PROMPT, prompt_of);
    ::el_set(edit_, EL_HIST, ::history, history_);
    ::el_set(edit_, EL_GETCFN, next_character);
  }
  ~Editor() {
    if (history_ != nullptr) ::history_end(history_);
    if (edit_ != nullptr) ::el_end(edit_);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  ChatLine read(const std::string& prompt) {
    prompt_ = prompt;
    interrupted_ = false;
    // Before the prompt is shown: a Ctrl-D typed while the terminal still makes lines is lost.
    ::el_set(edit_, EL_PREP_TERM, 1);
    ::el_resize(edit_);
    int count = 0;
    const char* const line = ::el_gets(edit_, &count);
    if (fault_) std::rethrow_exception(std::exchange(fault_, nullptr));
    if (interrupted_) {
      std::fputs("^C\n", stdout);
      std::fflush(stdout);
      return {LineEnd::interrupted, {}};
    }
    if (line == nullptr || count <= 0) {
      std::fputs("\n", stdout);
      return {LineEnd::end, {}};
    }
    std::string text = without_line_end(std::string(line, static_cast<std::size_t>(count)));
    HistEvent event;
    if (!text.empty()) ::history(history_, &event, H_ENTER, text.c_str());
    return {LineEnd::line, std::move(text)};
  }

 private:
  static Editor& of(EditLine* edit) {
    void* self = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<Editor*>(self);
  }

  static char* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }

  /// 1 with a character, 0 at the end, -1 where the line is given up.
  static int next_character(EditLine* edit, wchar_t* character) {
    Editor& self = of(edit);
    try {
      return self.next(*character);
    } catch (...) {
      self.fault_ = std::current_exception();
      return -1;
    }
  }

  int next(wchar_t& character) {
    std::mbstate_t state{};
    while (true) {
      const int byte = bytes_.next();
      if (byte == InputBytes::kEnd) return 0;
      if (byte == InputBytes::kInterrupted) {
        interrupted_ = true;
        return -1;
      }
      const char one = static_cast<char>(byte);
      const std::size_t used = std::mbrtowc(&character, &one, 1, &state);
      if (used == static_cast<std::size_t>(-2)) continue;  // part of a character
      if (used == static_cast<std::size_t>(-1)) character = kReplacement;
      return 1;
    }
  }

  InputBytes& bytes_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  bool interrupted_ = false;
  std::exception_ptr fault_;
};

LineReader::LineReader(Interrupts& interrupts) : bytes_(interrupts) {
  if (::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0) editor_ = std::make_unique<Editor>(bytes_);
}

LineReader::~LineReader() = default;

ChatLine LineReader::read(const std::string& prompt) {
  return editor_ ? editor_->read(prompt) : read_plain();
}

ChatLine LineReader::read_plain() {
  std::string line;
  while (true) {
    const int byte = bytes_.next();
    if (byte == InputBytes::kInterrupted) return {LineEnd::interrupted, {}};
    if (byte == InputBytes::kEnd && line.empty()) return {LineEnd::end, {}};
    if (byte == InputBytes::kEnd || byte == '\n') return {LineEnd::line, without_line_end(std::move(line))};
    line += static_cast<char>(byte);
  }
}

}  // namespace shine
