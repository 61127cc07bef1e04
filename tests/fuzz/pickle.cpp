// The pickle of a torch.save file, run over an archive of three small storages.
#include "fuzz/torch_values.h"
#include "io/torch_format/pickle_machine.h"
#include "io/zip_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  static const auto archive = std::make_shared<StoredZip>(std::make_shared<const MappedFile>(
      "x", fuzz::as_bytes(test::build_zip({{.name = "a/data.pkl", .content = ""},
                                           {.name = "a/data/0", .content = std::string(16, '\1')},
                                           {.name = "a/data/1", .content = std::string(64, '\2')},
                                           {.name = "a/data/2", .content = ""}}))));
  const std::vector<std::byte> pickle = fuzz::as_bytes(fuzz::as_text(data, size));
  fuzz::accepts([&] {
    ZipStorages storages(archive, "a/");
    fuzz::check_values(run_pickle(pickle, storages, "x"));
  });
  return 0;
}
