// A folder with an adapter: the input is its configuration, a zero byte and its tensors' file. Without a configuration
// the tensors are those of this project's own form, or a GGUF file.
#include "adapter/raw_adapter.h"
#include "fuzz/fuzz_target.h"
#include "support/paths.h"

namespace shine::fuzz {
namespace {

constexpr std::string_view kGgufMagic = "GGUF";

DecoderConfig small_decoder() {
  DecoderConfig config;
  config.model_type = "llama";
  config.hidden_size = 4;
  config.intermediate_size = 3;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 2;
  config.qkv_bias = true;
  config.o_bias = true;
  return config;
}

class AdapterFolders {
 public:
  AdapterFolders() {
    link(config_, "foreign/adapter_config.json");
    link(tensors_, "foreign/adapter_model.safetensors");
    link(tensors_, "foreign/adapters.safetensors");
    link(tensors_, "own/adapter.safetensors");
    link(tensors_, "x.gguf");
  }

  /// The path to read this input from.
  std::filesystem::path write(std::string_view config, std::string_view tensors) {
    config_.write(config);
    tensors_.write(tensors);
    if (!config.empty()) return folder_.path() / "foreign";
    return folder_.path() / (tensors.starts_with(kGgufMagic) ? "x.gguf" : "own");
  }

 private:
  void link(const MemoryFile& file, const char* name) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    std::filesystem::create_symlink(file.path(), folder_.path() / name);
  }

  test::TemporaryFolder folder_;
  MemoryFile config_, tensors_;
};

void check(const RawPair& pair) {
  const bool ours = pair.layout == PairLayout::ours;
  require(pair.a.shape.size() == 2 && pair.b.shape.size() == 2, "A and B are matrices");
  require(pair.a.shape[ours ? 1 : 0] == pair.rank && pair.b.shape[ours ? 0 : 1] == pair.rank, "A and B have the rank");
  require(pair.scale - pair.scale == 0, "the scale is finite");
  sum_of({pair.a.data, pair.a.bytes});
  sum_of({pair.b.data, pair.b.bytes});
  if (pair.c) sum_of({pair.c->data, pair.c->bytes});
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine::fuzz;
  static AdapterFolders folders;
  static const shine::DecoderConfig config = small_decoder();
  const auto parts = split_input(as_text(data, size), 2);
  const auto path = folders.write(parts[0], parts[1]);
  accepts([&] {
    const shine::RawAdapter adapter = shine::read_raw_adapter(path, config);
    require(adapter.layers.size() == 2, "an adapter has the decoder's layers");
    for (const auto& layer : adapter.layers) {
      for (const auto& pair : layer) {
        if (pair) check(*pair);
      }
    }
  });
  return 0;
}
