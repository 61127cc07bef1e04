#include "app/verify/parity_fixture.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "config/enum_value.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

using Json = nlohmann::json;

/// The published files spell these options as our configuration does.
template <class Enum>
Enum read_enum(const Json& json, const char* key, const std::string& where) {
  const std::string text = get_string(json, key, where);
  const std::optional<Enum> found = enum_value<Enum>(text);
  SHINE_CHECK(found, FormatError, where, ": `", key, "` is `", text, "`, expected one of ",
              join(config_names(Enum{}), ", "));
  return *found;
}

/// A size or count: large ones would only end in a failed allocation.
std::int64_t get_size(const Json& json, const char* key, const std::string& where) {
  constexpr std::int64_t limit = std::int64_t{1} << 16;
  const std::int64_t value = get_int(json, key, where);
  SHINE_CHECK(value > 0 && value <= limit, FormatError, where, ": `", key, "` is ", value, ", expected 1 to ", limit);
  return value;
}

/// `count` numbers.
std::vector<double> get_numbers(const Json& json, const char* key, std::size_t count, const std::string& where) {
  const Json& array = get_array(json, key, where);
  SHINE_CHECK(array.size() == count, FormatError, where, ": `", key, "` holds ", array.size(), " numbers, expected ",
              count);
  return array.get<std::vector<double>>();
}

HypernetworkConfig read_hypernetwork(const Json& json, const std::string& where) {
  HypernetworkConfig config;
  config.lora_rank = get_size(json, "lora_r", where);
  config.meta_lora_rank = get_size(json, "meta_lora_r", where);
  config.generated_scale = get_double(json, "scale", where);
  config.reshape = read_enum<LoraReshape>(json, "method", where);
  const Json& m2p = get_object(json, "m2p", where);
  const std::string inner = where + ": m2p";
  config.m2p.kind = read_enum<M2pKind>(m2p, "type", inner);
  config.m2p.num_layers = get_size(m2p, "num_layers", inner);
  config.m2p.heads = get_size(m2p, "nhead", inner);
  config.m2p.feedforward = get_size(m2p, "dim_feedforward", inner);
  config.m2p.layers_first = get_bool(m2p, "layer_transformer_first", inner);
  config.m2p.mean_pool_size = get_int_or(m2p, "mean_pool_size", 1, inner);
  config.m2p.couple_layers = get_int_or(m2p, "couple_num_layers", 0, inner);
  config.m2p.couple_width = get_int_or(m2p, "couple_d_model", 0, inner);
  config.m2p.couple_heads = get_int_or(m2p, "couple_nhead", 0, inner);
  config.m2p.couple_feedforward = get_int_or(m2p, "couple_dim_feedforward", 0, inner);
  config.m2p.linear_hidden = get_int_or(m2p, "linear_hidden_dim", config.m2p.linear_hidden, inner);
  config.m2p.linear_bias = get_bool_or(m2p, "linear_bias", false, inner);
  return config;
}

FixtureTraining read_training(const Json& json, const std::string& where) {
  const Json& training = get_object(json, "training", where);
  const std::string inner = where + ": training";
  FixtureTraining result;
  OptimizerConfig& optimizer = result.optimizer;
  optimizer.learning_rate = get_double(training, "learning_rate", inner);
  const auto betas = get_numbers(training, "betas", 2, inner);
  optimizer.beta1 = betas[0];
  optimizer.beta2 = betas[1];
  optimizer.epsilon = get_double(training, "eps", inner);
  optimizer.weight_decay = get_double(training, "weight_decay", inner);
  optimizer.decay = DecayScope::published;
  optimizer.clip = read_enum<ClipKind>(training, "clip", inner);
  optimizer.clip_norm = get_double(training, "clip_norm", inner);
  const std::string average = get_string(training, "loss_average", inner);
  SHINE_CHECK(average == "micro_batch_mean" || average == "tokens", FormatError, inner, ": `loss_average` is `",
              average, "`, expected micro_batch_mean or tokens");
  optimizer.loss_average = average == "micro_batch_mean" ? LossAverage::micro_batch : LossAverage::tokens;
  optimizer.accumulation = get_size(training, "accumulation", inner);
  result.schedule.warmup_steps = get_int(training, "warmup_steps", inner);
  result.total_steps = get_size(training, "total_steps", inner);
  result.train_memory_embeddings = get_bool(training, "train_memory_embeddings", inner);
  const std::string at = where + ": steps";
  for (const Json& step : get_array(json, "steps", where)) {
    result.steps.push_back({get_numbers(step, "losses", static_cast<std::size_t>(optimizer.accumulation), at),
                            get_numbers(step, "group_norms", 3, at), get_double(step, "learning_rate", at)});
  }
  return result;
}

}  // namespace

at::Tensor ParityFixture::input(const std::string& name) const {
  return to_tensor(inputs.tensor(name));
}

ModelBatch ParityFixture::batch(std::int64_t k, at::Device device) const {
  const std::string prefix = str(k, ".");
  ModelBatch batch;
  const at::Tensor mask = input(prefix + "input_mask");
  batch.conversations = TokenRows::from_padded(input(prefix + "input_ids"), mask);
  batch.conversations.ids = batch.conversations.ids.to(device);
  if (inputs.contains(prefix + "context_ids")) {
    batch.contexts = TokenRows::from_padded(input(prefix + "context_ids"), input(prefix + "context_mask"));
    batch.contexts.ids = batch.contexts.ids.to(device);
  }
  if (inputs.contains(prefix + "labels")) {
    const at::Tensor flat = input(prefix + "labels").masked_select(mask.ne(0));
    const auto* values = flat.const_data_ptr<std::int64_t>();
    std::vector<std::vector<std::int64_t>> rows;
    const RowLayout& layout = batch.conversations.layout;
    for (std::int64_t row = 0; row < layout.rows(); ++row) {
      rows.emplace_back(values + layout.starts[static_cast<std::size_t>(row)],
                        values + layout.starts[static_cast<std::size_t>(row) + 1]);
    }
    batch.labelled = LabelledTokens::of(rows, device);
  }
  return batch;
}

ParityFixture read_parity_fixture(const std::filesystem::path& folder) {
  const std::string where = (folder / "fixture.json").string();
  const Json json = read_json_file(where);
  ParityFixture fixture{.folder = folder,
                        .hypernetwork = {},
                        .has_checkpoint = std::filesystem::is_directory(folder / "checkpoint"),
                        .training = {},
                        .inputs = SafetensorsFile(folder / "inputs.safetensors"),
                        .expected = SafetensorsFile(folder / "expected.safetensors")};
  if (!fixture.has_checkpoint) return fixture;
  try {
    fixture.hypernetwork = read_hypernetwork(json, where);
    fixture.extra_meta_lora_rank = get_int_or(json, "extra_meta_lora_r", 0, where);
    fixture.adapter_reg = get_double_or(json, "adapter_reg", 0.0, where);
    if (has_value(json, "steps", where)) fixture.training = read_training(json, where);
  } catch (const Json::exception& error) {
    throw FormatError(error.what(), where);
  }
  return fixture;
}

}  // namespace shine
