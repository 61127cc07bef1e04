// The index of a model in several files: a folder with two sound shards stays, its index is the input.
#include <nlohmann/json.hpp>

#include "fuzz/fuzz_target.h"
#include "io/safetensors/model_files.h"
#include "support/paths.h"

namespace shine::fuzz {
namespace {

class ModelFolder {
 public:
  ModelFolder() {
    const float number = 1;
    const RawTensor tensor{DType::float32, {1}, reinterpret_cast<const std::byte*>(&number), sizeof number, nullptr};
    write_safetensors(folder_.path() / "a", {{"x", tensor}, {"y", tensor}});
    write_safetensors(folder_.path() / "b", {{"z", tensor}});
    std::filesystem::create_symlink(index_.path(), folder_.path() / "model.safetensors.index.json");
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  MemoryFile& index() { return index_; }

 private:
  test::TemporaryFolder folder_;
  MemoryFile index_;
};

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine::fuzz;
  static ModelFolder folder;
  folder.index().write(as_text(data, size));
  accepts([] {
    const shine::ModelFiles files(folder.path());
    for (const std::string& name : files.names()) {
      const shine::RawTensor tensor = files.tensor(name);
      require(tensor.shape == std::vector<std::int64_t>{1}, "the tensors are those of the shards");
      sum_of({tensor.data, tensor.bytes});
    }
  });
  return 0;
}
