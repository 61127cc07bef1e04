#include "decoder/stored_names.h"

#include "io/wrapped_names.h"

namespace shine {
namespace {

/// Saved without a head: "layers.0.." is what is "model.layers.0.." otherwise.
bool is_of_base_class(const std::string& name) {
  return name.starts_with("embed_tokens.") || name.starts_with("layers.") || name.starts_with("norm.");
}

}  // namespace

std::string parameter_name(const std::string& stored) {
  std::string name = without_wrappers(stored);
  if (is_of_base_class(name)) name.insert(0, "model.");
  return name;
}

}  // namespace shine
