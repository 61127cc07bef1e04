#include "app/adapt/export_adapter.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "adapter/merged_model.h"
#include "shine/common/error.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

at::ScalarType scalar_type(AdapterDtype dtype) {
  switch (dtype) {
    case AdapterDtype::float32: return at::kFloat;
    case AdapterDtype::bfloat16: return at::kBFloat16;
    case AdapterDtype::float16: return at::kHalf;
  }
  throw Error("unknown dtype");
}

std::int64_t written_rank(std::int64_t rank, const ExportOptions& options) {
  return options.max_rank > 0 ? std::min(rank, options.max_rank) : rank;
}

bool changes_biases(const LoraTree& tree) {
  for (const LoraLayer& layer : tree.layers) {
    for (const LoraWeights& lora : layer.projections) {
      if (lora.c.defined() && lora.c.count_nonzero().item<std::int64_t>() > 0) return true;
    }
  }
  return false;
}

/// Where limits are broken or an option has no effect.
void check_options(const AdapterShape& shape, const std::filesystem::path& output, const ExportOptions& options) {
  if (options.format == AdapterFormat::merged && options.dtype) {
    throw ConfigError("has no effect with --format merged, which has the backbone's", "--dtype", "remove it");
  }
  require_limits(shape, options.target, "--output " + output.string());
}

}  // namespace

ExportBase ExportBase::of(const std::filesystem::path& model) {
  return {model, read_decoder_config(model / "config.json")};
}

void check_export(const std::filesystem::path& output, const ExportOptions& options, const ExportBase& base,
                  std::int64_t rank) {
  const LoraSpec spec = base.config.lora_spec();
  const bool has_c = std::any_of(spec.projections.begin(), spec.projections.end(),
                                 [](const ProjectionSpec& projection) { return projection.has_bias; });
  check_options({options.format, written_rank(rank, options), has_c}, output, options);
}

void require_absent(const std::filesystem::path& output) {
  if (std::filesystem::symlink_status(output).type() == std::filesystem::file_type::not_found) return;
  throw IoError("exists already", "--output " + output.string(), "remove it or choose another name");
}

ReducedAdapter export_adapter(const Adapter& adapter, const std::filesystem::path& output, const ExportOptions& options,
                              const ExportBase& base) {
  const std::int64_t rank = written_rank(adapter.tree.rank(), options);
  check_options({options.format, rank, changes_biases(adapter.tree)}, output, options);
  require_absent(output);
  ReducedAdapter reduced = reduce_rank(adapter, rank);
  if (options.format == AdapterFormat::merged) {
    write_merged_model(output, reduced.adapter, base.model, base.config);
  } else {
    write_adapter(output, reduced.adapter, base.config,
                  {options.format, scalar_type(options.dtype.value_or(AdapterDtype::float32))});
  }
  return reduced;
}

std::string export_text(const ReducedAdapter& written, const std::filesystem::path& output,
                        const ExportOptions& options) {
  const Adapter& adapter = written.adapter;
  const AdapterShape shape{options.format, adapter.tree.rank(), false};
  std::string text = str(output.string(), ": ", enum_name(options.format), ", rank ", shape.rank);
  if (options.format != AdapterFormat::merged) {
    text += str(", ", enum_name(options.dtype.value_or(AdapterDtype::float32)));
  }
  if (!adapter.metadata.identity.empty()) text += ", identity " + adapter.metadata.identity;
  text += "\n";
  if (options.max_rank > 0) text += reduction_text(written) + "\n";
  if (options.target) text += str("to load it: ", how_to_load(shape, *options.target, output.string()), "\n");
  return text;
}

}  // namespace shine
