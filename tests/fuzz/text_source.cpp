// Text files, packed or not: the first byte chooses the name and what the file may be.
#include "io/files/text_input.h"

#include "fuzz/fuzz_target.h"
#include "io/files/text_lines.h"
#include "support/paths.h"

namespace shine::fuzz {
namespace {

class PackedFiles {
 public:
  PackedFiles() {
    for (const char* name : {"x.txt", "x.gz", "x.zst"}) std::filesystem::create_symlink(content_.path(), at(name));
  }

  MemoryFile& content() { return content_; }
  std::filesystem::path at(const char* name) const { return folder_.path() / name; }

 private:
  test::TemporaryFolder folder_;
  MemoryFile content_;
};

std::string read_in_small_pieces(const std::filesystem::path& path, TextForm form, std::size_t most) {
  TextInput source(path, form);
  std::string text;
  for (std::size_t piece = 1; text.size() < most; piece = piece % 7 + 1) {
    const std::size_t before = text.size();
    text.resize(before + piece);
    const std::size_t got = source.read(text.data() + before, piece);
    text.resize(before + got);
    if (got < piece) break;
  }
  return text;
}

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  constexpr std::size_t most = std::size_t{1} << 20;
  if (size == 0) return 0;
  static fuzz::PackedFiles files;
  files.content().write(fuzz::as_text(data + 1, size - 1));
  const char* const name = data[0] % 3 == 0 ? "x.txt" : data[0] % 3 == 1 ? "x.gz" : "x.zst";
  const auto form = static_cast<TextForm>(data[0] / 3 % 3);
  fuzz::accepts([&] {
    const std::string text = read_foreign_text(files.at(name), form, most);
    fuzz::require(fuzz::read_in_small_pieces(files.at(name), form, most + 1) == text, "pieces make up the whole");
    std::string lines;
    TextLines reader(files.at(name), form, most);
    for (std::string_view line; reader.next(line);) lines.append(line).append("\n");
    if (!text.empty() && !text.ends_with('\n')) lines.pop_back();
    fuzz::require(lines == text, "lines make up the whole");
  });
  return 0;
}
