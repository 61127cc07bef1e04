#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <string_view>

#include "decoder/stored_names.h"
#include "io/safetensors/model_files.h"
#include "shine/common/error.h"
#include "shine/decoder/decoder.h"

namespace shine {
namespace {

/// First values of one parameter of `module` in float32; undefined for one that is not known here.
at::Tensor first_values(const torch::nn::Module& module, const at::Tensor& parameter, const DecoderConfig& config,
                        double gain, at::Generator& generator) {
  const at::Tensor values = at::zeros(parameter.sizes(), at::TensorOptions().dtype(at::kFloat));
  const auto root_of = [](std::int64_t size) { return std::sqrt(static_cast<double>(size)); };
  if (const auto* embedding = module.as<EmbeddingImpl>()) {
    if (!parameter.is_same(embedding->weight)) return {};
    return values.normal_(0.0, config.tied_embeddings ? 1.0 / root_of(config.hidden_size) : 1.0, generator);
  }
  if (const auto* linear = module.as<LinearImpl>()) {
    if (parameter.is_same(linear->bias)) return values;
    if (!parameter.is_same(linear->weight)) return {};
    return values.normal_(0.0, gain / root_of(linear->options.in), generator);
  }
  if (const auto* norm = module.as<RmsNormImpl>()) {
    return parameter.is_same(norm->weight) ? values.fill_(1.0) : at::Tensor();
  }
  return {};
}

}  // namespace

namespace {

/// Old files of the Llama family hold the rotary frequencies, which follow from config.json.
bool is_derived(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

/// The tensors under the names of the causal language model.
RawTensorDict decoder_tensors(const ModelFiles& files) {
  RawTensorDict tensors;
  for (const std::string& stored : files.names()) {
    const std::string name = parameter_name(stored);
    if (is_derived(name)) continue;
    if (!tensors.emplace(name, files.tensor(stored)).second) {
      throw FormatError(str("tensor ", name, " is there twice, under two names"), files.where(stored).string(),
                        "leave out one of them");
    }
  }
  return tensors;
}

}  // namespace

void load_decoder(Decoder& decoder, const std::filesystem::path& directory) {
  RawTensorDict tensors = decoder_tensors(ModelFiles(directory));
  // A tied model's head is the embedding; some writers store it a second time.
  if (decoder.config().tied_embeddings) tensors.erase("lm_head.weight");
  const auto options = at::TensorOptions().dtype(decoder.options().dtype).device(decoder.options().device);
  load_parameters(decoder, tensors, options, directory.string());
}

at::ScalarType stored_dtype(const std::filesystem::path& directory) {
  const ModelFiles files(directory);
  SHINE_CHECK(!files.names().empty(), FormatError, directory.string(), ": the weight files hold no tensor");
  return to_scalar_type(files.tensor(files.names().front()).dtype);
}

void initialise_decoder(Decoder& decoder, double gain, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto options = at::TensorOptions().dtype(decoder.options().dtype).device(decoder.options().device);
  // In the order of registration, which the values depend on.
  const torch::nn::Module& model = decoder;
  model.apply([&](const std::string& path, const torch::nn::Module& module) {
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
      const at::Tensor values = first_values(module, parameter.value(), decoder.config(), gain, generator);
      if (!values.defined()) {
        throw Error("its first value is not known", path.empty() ? parameter.key() : path + "." + parameter.key(),
                    "say it in first_values (src/decoder/load_decoder.cpp)");
      }
      set_values(parameter.value(), values.to(options));
    }
  });
}

}  // namespace shine
