#include "app/inspect/inspection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "common/format.h"
#include "config/quote.h"
#include "shine/common/str.h"
#include "train/diagnostics.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;

/// Singular values in a table; the files hold all.
constexpr std::size_t kShownValues = 8;

std::string number(double value) {
  return format("%.4g", value);
}

double root_mean_square(const PartStatistics& part) {
  const auto finite = static_cast<double>(part.parameters - part.not_finite);
  return finite > 0 ? part.norm / std::sqrt(finite) : 0.0;
}

using Cells = std::vector<std::string>;

/// A Markdown table that is aligned in source too: the first row is the head, numbers are right-aligned.
std::string table(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 3);
  for (const Cells& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  const auto add = [&](const Cells& row) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      text += i == 0 ? str("| ", row[i], space, " |") : str(" ", space, row[i], " |");
    }
    text += "\n";
  };
  add(rows.front());
  for (std::size_t i = 0; i < widths.size(); ++i) {
    text += i == 0 ? "|-" + std::string(widths[i], '-') + "-|" : "-" + std::string(widths[i], '-') + ":|";
  }
  text += "\n";
  std::for_each(rows.begin() + 1, rows.end(), add);
  return text;
}

std::string parts_table(const std::vector<PartStatistics>& parts) {
  std::vector<Cells> rows{{"part", "tensors", "parameters", "norm", "root mean square", "largest", "not finite"}};
  PartStatistics all{"all"};
  const auto add = [&](const PartStatistics& part, const std::string& name) {
    rows.push_back({name, str(part.tensors), str(part.parameters), number(part.norm), number(root_mean_square(part)),
                    number(part.largest), str(part.not_finite)});
  };
  for (const PartStatistics& part : parts) {
    add(part, quote(part.name));
    all.tensors += part.tensors;
    all.parameters += part.parameters;
    all.norm = std::hypot(all.norm, part.norm);
    all.largest = std::max(all.largest, part.largest);
    all.not_finite += part.not_finite;
  }
  add(all, all.name);
  return table(rows);
}

std::string values_text(const std::vector<double>& values) {
  Cells texts;
  for (const double value : values) {
    if (texts.size() < kShownValues) texts.push_back(format("%.3g", value));
  }
  return join(texts, " ") + (values.size() > kShownValues ? " .." : "");
}

std::string deltas_table(const Inspection& inspection, std::size_t context) {
  std::vector<Cells> rows{{"layer", "projection", "norm of A B", "relative to W", "effective rank", "singular values"}};
  for (const DeltaStatistics& delta : inspection.deltas) {
    if (delta.context != context) continue;
    rows.push_back({str(delta.layer), std::string(name_of(delta.projection)), number(delta.norm),
                    number(delta.relative_norm), format("%.2f", delta.effective_rank),
                    values_text(delta.singular_values)});
  }
  return table(rows);
}

std::string diagnostics_tables(const LoraDiagnostics& diagnostics) {
  const Agreement &delta = diagnostics.delta, &vector = diagnostics.vector;
  std::vector<Cells> norms{{"norm of A B relative to W"}, {"mean over layers and contexts"}, {"maximum"}};
  for (const Projection p : kProjections) {
    norms[0].emplace_back(name_of(p));
    norms[1].push_back(number(diagnostics.relative_norm[static_cast<std::size_t>(p)]));
    norms[2].push_back(number(diagnostics.max_relative_norm[static_cast<std::size_t>(p)]));
  }
  return table({{"", "changes A B", "generated vectors"},
                {"mean cosine between contexts", number(delta.mean_cosine), number(vector.mean_cosine)},
                {"share explained by the mean", number(delta.mean_share), number(vector.mean_share)}}) +
         "\n" + table(norms);
}

/// The lowest and highest positive number, as logarithms.
struct LogRange {
  double low = INFINITY, high = -INFINITY;

  void add(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = std::min(low, std::log(value));
    high = std::max(high, std::log(value));
  }
  const char* block(double value) const {
    constexpr std::array<const char*, 8> blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    if (!std::isfinite(value)) return "?";
    if (value <= 0) return ".";
    if (high <= low) return blocks.back();
    const double place = (std::log(value) - low) / (high - low) * static_cast<double>(blocks.size());
    return blocks[std::min(static_cast<std::size_t>(place), blocks.size() - 1)];
  }
};

/// Of each projection, by layer; the mean over contexts.
std::map<Projection, std::vector<double>> mean_relative_norms(const std::vector<DeltaStatistics>& deltas) {
  std::map<Projection, std::vector<double>> norms;
  std::size_t contexts = 0;
  for (const DeltaStatistics& delta : deltas) {
    std::vector<double>& row = norms[delta.projection];
    const auto layer = static_cast<std::size_t>(delta.layer);
    if (row.size() <= layer) row.resize(layer + 1);
    row[layer] += delta.relative_norm;
    contexts = std::max(contexts, delta.context + 1);
  }
  for (auto& [projection, row] : norms) {
    for (double& value : row) value /= static_cast<double>(contexts);
  }
  return norms;
}

/// Numbers of every fifth layer above its column.
std::string layer_scale(std::size_t layers, std::size_t width, std::size_t indent) {
  std::string line(indent, ' ');
  for (std::size_t layer = 0; layer < layers; layer += 5) {
    line.resize(indent + layer * width, ' ');
    line += std::to_string(layer);
  }
  return line + "\n";
}

}  // namespace

std::string heat_map(const std::vector<DeltaStatistics>& deltas) {
  if (deltas.empty()) return "";
  constexpr std::size_t indent = 8, narrow_above = 24;
  const auto norms = mean_relative_norms(deltas);
  LogRange range;
  std::size_t layers = 0;
  for (const auto& [projection, row] : norms) {
    for (const double value : row) range.add(value);
    layers = std::max(layers, row.size());
  }
  const std::size_t width = layers > narrow_above ? 2 : 3;
  std::string text = layer_scale(layers, width, indent);
  for (const auto& [projection, row] : norms) {
    const std::string name(name_of(projection));
    text += name + std::string(indent - name.size(), ' ');
    for (const double value : row) {
      for (std::size_t i = 0; i < width; ++i) text += range.block(value);
    }
    text += "\n";
  }
  if (range.low <= range.high) {
    text += str("▁ ", number(std::exp(range.low)), " .. █ ", number(std::exp(range.high)), ", logarithmic\n");
  }
  return text;
}

std::string inspection_markdown(const Inspection& inspection) {
  std::string text = str("# ", inspection.source, "\n\n", parts_table(inspection.parts));
  for (std::size_t i = 0; i < inspection.contexts.size(); ++i) {
    const InspectedContext& context = inspection.contexts[i];
    text += str("\n## LoRA of context ", i + 1, ": ", context.name, ", ", context.tokens, " tokens");
    if (context.tokens_cut > 0) text += str(" (", context.tokens_cut, " cut)");
    text += "\n\n" + deltas_table(inspection, i);
  }
  if (!inspection.deltas.empty()) {
    text += "\n## Norm of A B relative to W, layers across\n\n```\n" + heat_map(inspection.deltas) + "```\n";
  }
  if (inspection.diagnostics) {
    text += str("\n## The LoRAs of ", inspection.contexts.size(), " contexts compared\n\n",
                diagnostics_tables(*inspection.diagnostics));
  }
  return text;
}

std::string parts_csv(const Inspection& inspection) {
  std::string text = "part,tensors,parameters,norm,root_mean_square,largest,not_finite\n";
  for (const PartStatistics& part : inspection.parts) {
    std::string name;
    for (const char c : part.name) name += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += str('"', name, "\",", part.tensors, ",", part.parameters, ",",
                format("%.9g,%.9g,%.9g", part.norm, root_mean_square(part), part.largest), ",", part.not_finite, "\n");
  }
  return text;
}

std::string deltas_csv(const Inspection& inspection) {
  std::size_t count = 0;
  for (const DeltaStatistics& delta : inspection.deltas) count = std::max(count, delta.singular_values.size());
  std::string text = "context,layer,projection,norm,relative_norm,effective_rank";
  for (std::size_t i = 1; i <= count; ++i) text += str(",singular_value_", i);
  text += "\n";
  for (const DeltaStatistics& delta : inspection.deltas) {
    text += str(delta.context + 1, ",", delta.layer, ",", name_of(delta.projection), ",",
                format("%.9g,%.9g,%.9g", delta.norm, delta.relative_norm, delta.effective_rank));
    for (std::size_t i = 0; i < count; ++i) {
      text += i < delta.singular_values.size() ? format(",%.9g", delta.singular_values[i]) : ",";
    }
    text += "\n";
  }
  return text;
}

Json inspection_json(const Inspection& inspection) {
  Json json{{"source", inspection.source}, {"parts", Json::array()}};
  for (const PartStatistics& part : inspection.parts) {
    json["parts"].push_back({{"part", part.name},
                             {"tensors", part.tensors},
                             {"parameters", part.parameters},
                             {"norm", part.norm},
                             {"root_mean_square", root_mean_square(part)},
                             {"largest", part.largest},
                             {"not_finite", part.not_finite}});
  }
  json["contexts"] = Json::array();
  for (const InspectedContext& context : inspection.contexts) {
    json["contexts"].push_back(
        {{"name", context.name}, {"tokens", context.tokens}, {"tokens_cut", context.tokens_cut}});
  }
  json["deltas"] = Json::array();
  for (const DeltaStatistics& delta : inspection.deltas) {
    json["deltas"].push_back({{"context", delta.context + 1},
                              {"layer", delta.layer},
                              {"projection", name_of(delta.projection)},
                              {"norm", delta.norm},
                              {"relative_norm", delta.relative_norm},
                              {"effective_rank", delta.effective_rank},
                              {"singular_values", delta.singular_values}});
  }
  if (inspection.diagnostics) json["diagnostics"] = diagnostics_json(*inspection.diagnostics);
  return json;
}

}  // namespace shine
