#include "shine/io/safetensors.h"

#include "fuzz/fuzz_target.h"
#include "io/files/mapped_file.h"

namespace shine::fuzz {
namespace {

/// Tensors lie side by side in the file; each can be read and has the bytes that its shape needs.
void check_tensors(const SafetensorsFile& file) {
  std::size_t end = 0;
  for (const std::string& name : file.names()) {
    const SafetensorsFile::Entry& entry = file.entries().at(name);
    require(entry.begin == end && entry.end >= entry.begin, "tensors follow each other");
    end = entry.end;
    accepts([&] {  // a bool tensor may hold bytes other than 0 and 1
      const RawTensor tensor = file.tensor(name);
      require(tensor.bytes == entry.end - entry.begin, "a tensor has the bytes of its entry");
      require(tensor.bytes == bytes_of(tensor.dtype, tensor.shape), "a tensor has the bytes of its shape");
      sum_of({tensor.data, tensor.bytes});
    });
  }
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine::fuzz;
  const std::string_view input = as_text(data, size);
  accepts([&] {
    const shine::SafetensorsFile file(std::make_shared<const shine::MappedFile>("x", as_bytes(input)));
    check_tensors(file);
  });
  return 0;
}
