#include "train/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "shine/common/str.h"

namespace shine {

ProgressLine::ProgressLine(ProgressForm form) : form_(form) {
  if (form_ == ProgressForm::automatic) {
    form_ = isatty(STDERR_FILENO) != 0 ? ProgressForm::bar : ProgressForm::plain;
  }
}

ProgressLine::~ProgressLine() {
  if (dirty_) std::fputc('\n', stderr);
}

void ProgressLine::show(std::int64_t done, std::int64_t total, const std::string& text) {
  constexpr std::int64_t width = 20;
  if (form_ == ProgressForm::none) return;
  if (form_ == ProgressForm::plain) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  const auto filled =
      static_cast<std::size_t>(total > 0 ? std::clamp(done * width / total, std::int64_t{0}, width) : 0);
  const std::string bar = std::string(filled, '=') + std::string(width - filled, ' ');
  std::fprintf(stderr, "\r\033[K[%s] %s", bar.c_str(), text.c_str());
  std::fflush(stderr);
  dirty_ = true;
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
