#include "train/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "shine/common/str.h"

namespace shine {

namespace {

/// Whether lines on standard error can be rewritten.
bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) != 0 && kind != nullptr && std::string_view(kind) != "dumb";
}

}  // namespace

double ProgressLine::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProgressLine::ProgressLine(ProgressForm form, std::function<double()> seconds)
    : form_(form), seconds_(std::move(seconds)) {
  if (form_ == ProgressForm::automatic) form_ = is_terminal() ? ProgressForm::bar : ProgressForm::plain;
}

ProgressLine::~ProgressLine() {
  if (dirty_) std::fputc('\n', stderr);
  if (!held_back_.empty()) print(held_back_);
}

void ProgressLine::show(std::int64_t done, std::int64_t total, const std::string& text) {
  constexpr std::int64_t width = 20;
  if (form_ == ProgressForm::none) return;
  if (form_ == ProgressForm::plain) {
    const bool due = !printed_at_ || seconds_() - *printed_at_ >= kSecondsBetweenLines;
    held_back_ = text;
    if (due || done == total) print(text);
    return;
  }
  const auto filled =
      static_cast<std::size_t>(total > 0 ? std::clamp(done * width / total, std::int64_t{0}, width) : 0);
  const std::string bar = std::string(filled, '=') + std::string(width - filled, '.');
  std::fprintf(stderr, "\r\033[K[%s] %s", bar.c_str(), text.c_str());
  std::fflush(stderr);
  dirty_ = true;
}

void ProgressLine::print(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  printed_at_ = seconds_();
  held_back_.clear();
}

void ProgressLine::interrupt() {
  if (dirty_) std::fputs("\r\033[K", stderr);
  dirty_ = false;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, seconds));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  }
  return text;
}

}  // namespace shine
