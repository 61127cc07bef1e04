#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "io/safetensors/model_files.h"
#include "shine/common/error.h"
#include "shine/decoder/decoder.h"

namespace shine {

void load_decoder(Decoder& decoder, const std::filesystem::path& directory) {
  const ModelFiles files(directory);
  RawTensorDict tensors;
  for (const std::string& name : files.names()) tensors.emplace(name, files.tensor(name));
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
  const DecoderConfig& config = decoder.config();
  const auto options = at::TensorOptions().dtype(decoder.options().dtype).device(decoder.options().device);
  for (const auto& parameter : decoder.named_parameters()) {
    const std::string& name = parameter.key();
    at::Tensor values = at::zeros(parameter->sizes(), at::TensorOptions().dtype(at::kFloat));
    if (name == "model.embed_tokens.weight") {
      values.normal_(0.0, config.tied_embeddings ? 1.0 / std::sqrt(static_cast<double>(config.hidden_size)) : 1.0,
                     generator);
    } else if (values.dim() == 2) {
      values.normal_(0.0, gain / std::sqrt(static_cast<double>(values.size(1))), generator);
    } else if (name.ends_with("norm.weight")) {
      values.fill_(1.0);
    }
    set_values(parameter.value(), values.to(options));
  }
}

}  // namespace shine
