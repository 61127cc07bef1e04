#include "train/diagnostics.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/format.h"
#include "shine/common/str.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

Json by_projection(const std::array<double, kProjections.size()>& values) {
  Json object;
  for (const Projection p : kProjections) object[std::string(name_of(p))] = values[static_cast<std::size_t>(p)];
  return object;
}

/// Index of the projection whose LoRAs are largest.
std::size_t largest(const std::array<double, kProjections.size()>& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

Json diagnostics_json(const LoraDiagnostics& diagnostics) {
  return {{"contexts", diagnostics.contexts},
          {"mean_cosine", diagnostics.delta.mean_cosine},
          {"mean_share", diagnostics.delta.mean_share},
          {"vector_mean_cosine", diagnostics.vector.mean_cosine},
          {"vector_mean_share", diagnostics.vector.mean_share},
          {"relative_norm", by_projection(diagnostics.relative_norm)},
          {"max_relative_norm", by_projection(diagnostics.max_relative_norm)}};
}

Json diagnostics_event(std::int64_t step, const LoraDiagnostics& diagnostics) {
  Json event{{"kind", "diagnostics"}, {"step", step}};
  event.update(diagnostics_json(diagnostics));
  return event;
}

std::string diagnostics_line(const LoraDiagnostics& diagnostics) {
  const std::size_t p = largest(diagnostics.relative_norm);
  return format("LoRAs of %lld contexts: cosine %.4f  share of their mean %.4f  |A B| / |W| up to %.2e (%s)",
                static_cast<long long>(diagnostics.contexts), diagnostics.delta.mean_cosine,
                diagnostics.delta.mean_share, diagnostics.relative_norm[p],
                std::string(name_of(kProjections[p])).c_str());
}

std::vector<std::string> LoraWatch::warnings(std::int64_t step, const LoraDiagnostics& diagnostics) {
  std::vector<std::string> due;
  const bool warmed_up = step > warmup_steps_;
  const double cosine = diagnostics.delta.mean_cosine;
  const bool collapsed = warmed_up && cosine > kCosineLimit;
  if (collapsed && !collapsed_) {
    due.push_back(str("step ", step, ": the LoRAs generated for ", diagnostics.contexts,
                      " different contexts are nearly the same one: mean cosine ", format("%.4f", cosine), ", above ",
                      kCosineLimit,
                      " (nothing is stopped: it may rise and fall again in the first hundreds of steps; if it stays, "
                      "the context is ignored: warm up with reconstruction, or lower optimizer.learning_rate)"));
  }
  const std::size_t p = largest(diagnostics.relative_norm);
  const double norm = diagnostics.relative_norm[p];
  const bool exploded = warmed_up && norm > kRelativeNormLimit;
  if (exploded && !exploded_) {
    due.push_back(str("step ", step, ": the generated LoRAs are larger than the weights that they change: |A B| / |W| ",
                      format("%.3g", norm), " for ", name_of(kProjections[p]), ", above ", kRelativeNormLimit,
                      " (nothing is stopped; if the loss rises, lower optimizer.learning_rate or "
                      "hypernetwork.generated_scale)"));
  }
  collapsed_ = collapsed;
  exploded_ = exploded;
  return due;
}

}  // namespace shine
