// Text files for training: the first byte chooses the kind of file and of separator.
#include "data/pretrain/documents.h"

#include "fuzz/fuzz_target.h"
#include "support/paths.h"
#include "text/unicode/utf8.h"

namespace shine::fuzz {
namespace {

class TextFiles {
 public:
  TextFiles() {
    for (const char* name : {"x.txt", "x.jsonl"}) std::filesystem::create_symlink(content_.path(), at(name));
  }

  MemoryFile& content() { return content_; }
  std::filesystem::path at(const char* name) const { return folder_.path() / name; }

 private:
  test::TemporaryFolder folder_;
  MemoryFile content_;
};

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  if (size == 0) return 0;
  static fuzz::TextFiles files;
  const std::string_view input = fuzz::as_text(data + 1, size - 1);
  files.content().write(input);
  const char* const name = data[0] % 3 == 0 ? "x.jsonl" : "x.txt";
  const std::string separator = data[0] % 3 == 1 ? "" : "--";
  fuzz::accepts([&] {
    const Documents documents = read_documents({files.at(name)}, {.separator = separator});
    for (const std::string& text : documents.texts) {
      fuzz::require(!text.empty() && is_valid_utf8(text), "a document is a text");
    }
    const std::size_t count = documents.texts.size();
    fuzz::require(documents.repaired <= count + documents.empty, "documents are repaired once");
    const Documents first = read_documents({files.at(name)}, {.separator = separator, .max_texts = 1});
    fuzz::require(first.texts.size() == std::min<std::size_t>(count, 1), "reading ends after enough documents");
    fuzz::require(count == 0 || first.texts[0] == documents.texts[0], "the first document is the first");
  });
  return 0;
}
