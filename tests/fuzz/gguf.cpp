#include "fuzz/fuzz_target.h"
#include "io/files/mapped_file.h"
#include "io/gguf/gguf_file.h"

namespace shine::fuzz {
namespace {

/// Each tensor can be read and has the bytes that its shape needs.
void check_tensors(const GgufFile& file) {
  for (const std::string& name : file.names()) {
    const RawTensor tensor = file.tensor(name);
    require(tensor.bytes == bytes_of(tensor.dtype, tensor.shape), "a tensor has the bytes of its shape");
    require(!tensor.shape.empty() && tensor.shape.size() <= kMaxGgufDimensions, "a tensor has 1 to 4 dimensions");
    sum_of({tensor.data, tensor.bytes});
  }
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine::fuzz;
  const std::string_view input = as_text(data, size);
  accepts([&] {
    const shine::GgufFile file(std::make_shared<const shine::MappedFile>("x", as_bytes(input)));
    check_tensors(file);
  });
  return 0;
}
