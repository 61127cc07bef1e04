#include "common/process_label.h"

#include <atomic>
#include <utility>

namespace shine {
namespace {

std::string& stored_label() {
  static std::string label;
  return label;
}

/// Read by signal handlers.
std::atomic<bool> is_first = true;

}  // namespace

void set_process_label(std::string label, bool first) {
  stored_label() = std::move(label);
  is_first = first;
}

std::string_view process_label() {
  return stored_label();
}

bool is_first_process() {
  return is_first;
}

}  // namespace shine
