// A whole torch.save file: the zip archive and what it holds.
#include "fuzz/torch_values.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine::fuzz;
  const std::string_view input = as_text(data, size);
  accepts(
      [&] { check_values(shine::read_torch_file(std::make_shared<const shine::MappedFile>("x", as_bytes(input)))); });
  return 0;
}
