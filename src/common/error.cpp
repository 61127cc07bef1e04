#include "shine/common/error.h"

namespace shine {
namespace {

std::string compose(std::string_view what, std::string_view where, std::string_view cure) {
  std::string message;
  if (!where.empty()) message.append(where).append(": ");
  message.append(what);
  if (!cure.empty()) message.append(" (").append(cure).append(")");
  return message;
}

}  // namespace

Error::Error(std::string_view what, std::string_view where, std::string_view cure)
    : std::runtime_error(compose(what, where, cure)) {}

}  // namespace shine
