#include "adapter/merged_model.h"

#include <ATen/ATen.h>

#include <map>
#include <set>
#include <utility>

#include "adapter/adapter_names.h"
#include "adapter/identity.h"
#include "decoder/stored_names.h"
#include "io/files/atomic_folder.h"
#include "io/files/mapped_file.h"
#include "io/files/text_file.h"
#include "io/safetensors/model_files.h"
#include "io/safetensors/write_as_made.h"
#include "shine/common/error.h"
#include "shine/tensor/torch_tensor.h"
#include "shine/text/tokenizer.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

bool is_zero(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.count_nonzero().item<std::int64_t>() == 0;
}

/// What is added to a parameter of the backbone.
struct Change {
  const LoraWeights* lora = nullptr;
  bool bias = false;  ///< C; else A B

  /// (out, in), or (out) of a bias; float32.
  at::Tensor delta() const {
    return bias ? lora->c[0].to(at::kFloat) : lora->b[0].to(at::kFloat).t().mm(lora->a[0].to(at::kFloat).t());
  }
};

using Changes = std::map<std::string, Change>;  ///< by parameter_name

/// The changes of an adapter that are not zero. Throws ShapeError where the adapter does not fit.
Changes changes_of(const Adapter& adapter, const LoraSpec& spec) {
  SHINE_CHECK(static_cast<std::int64_t>(adapter.tree.layers.size()) == spec.layers, ShapeError, adapter.where, ": ",
              adapter.tree.layers.size(), " layers, and the backbone has ", spec.layers);
  Changes changes;
  for (std::size_t layer = 0; layer < adapter.tree.layers.size(); ++layer) {
    for (const Projection p : kProjections) {
      const LoraWeights& lora = adapter.tree.layers[layer][p];
      const std::string module = module_name(layer, p);
      SHINE_CHECK(lora.a.size(0) == 1 && lora.a.size(1) == spec[p].in && lora.b.size(2) == spec[p].out, ShapeError,
                  adapter.where, ": A ", lora.a.sizes(), " and B ", lora.b.sizes(), " do not fit ", module, " (",
                  spec[p].in, " to ", spec[p].out, ")");
      if (!is_zero(lora.a) && !is_zero(lora.b)) changes[module + ".weight"] = {&lora, false};
      if (!is_zero(lora.c)) changes[module + ".bias"] = {&lora, true};
    }
  }
  return changes;
}

/// The parameter with the change, in its own type.
RawTensor changed(const RawTensor& raw, const Change& change, const std::string& where) {
  const at::Tensor before = to_tensor(raw);
  SHINE_CHECK(before.is_floating_point(), UnsupportedError, where, ": a weight of ", name_of(raw.dtype),
              ", to which nothing can be added (use the model before it was quantised)");
  const at::Tensor delta = change.delta();
  SHINE_CHECK(before.sizes() == delta.sizes(), ShapeError, where, ": ", before.sizes(),
              ", and the adapter's change is ", delta.sizes());
  const at::ScalarType sum_type = at::promote_types(at::kFloat, before.scalar_type());
  const at::Tensor after = before.to(sum_type, /*non_blocking=*/false, /*copy=*/true).add_(delta).to(before.dtype());
  SHINE_CHECK(after.isfinite().all().item<bool>(), UnsupportedError, where,
              ": with the adapter a value is too large for ", name_of(raw.dtype),
              " (merge into a bfloat16 or float32 copy of the backbone)");
  if (raw.mapped) release_pages({raw.data, raw.bytes});
  return to_raw(after);
}

std::map<std::string, std::string> merged_metadata(const SafetensorsFile& shard, const AdapterMetadata& adapter) {
  std::map<std::string, std::string> metadata = shard.metadata();
  metadata.emplace("format", "pt");
  for (const auto& [key, value] : identity_entries(adapter)) metadata[key] = value;
  return metadata;
}

/// Writes one shard; names of the changes that were made go into `made`.
void write_shard(const fs::path& source, const fs::path& target, const Changes& changes, const AdapterMetadata& adapter,
                 std::set<std::string>& made) {
  const SafetensorsFile shard(source);
  std::vector<TensorForm> forms;
  for (const auto& [name, entry] : shard.entries()) forms.push_back({name, entry.dtype, entry.shape});
  const auto make = [&](const std::string& stored) {
    const std::string name = parameter_name(stored);
    const auto change = changes.find(name);
    if (change == changes.end()) return shard.tensor(stored);
    const std::string where = str(source.string(), ": ", stored);
    SHINE_CHECK(made.insert(name).second, FormatError, where, ": the weight is there twice, under two names");
    return changed(shard.tensor(stored), change->second, where);
  };
  write_safetensors_as_made(target, std::move(forms), make, merged_metadata(shard, adapter));
}

void copy_where_present(const fs::path& from, const fs::path& to, std::string_view name) {
  if (fs::exists(from / name)) write_file_atomically(to / name, read_text_file(from / name));
}

}  // namespace

void write_merged_model(const fs::path& folder, const Adapter& adapter, const fs::path& backbone,
                        const DecoderConfig& config) {
  const Changes changes = changes_of(adapter, config.lora_spec());
  const ModelFiles files(backbone);
  std::set<fs::path> shards;
  for (const std::string& name : files.names()) shards.insert(files.where(name));
  FolderWriter writer(folder, FolderMark::none);
  std::set<std::string> made;
  for (const fs::path& shard : shards) {
    write_shard(shard, writer.path() / shard.filename(), changes, adapter.metadata, made);
  }
  for (const auto& [name, change] : changes) {
    SHINE_CHECK(made.contains(name), FormatError, backbone.string(), ": the weight files have no ", name);
  }
  copy_where_present(backbone, writer.path(), "config.json");
  copy_where_present(backbone, writer.path(), "generation_config.json");
  copy_where_present(backbone, writer.path(), "chat_template.jinja");
  if (!fs::exists(backbone / "model.safetensors"))
    copy_where_present(backbone, writer.path(), "model.safetensors.index.json");
  for (const std::string_view name : kTokenizerFiles) copy_where_present(backbone, writer.path(), name);
  writer.commit();
}

}  // namespace shine
