// Published question answering: the first byte chooses the layout; stories and letters have a zero byte between.
#include "data/convert/qa_convert.h"

#include "fuzz/fuzz_target.h"
#include "support/paths.h"

namespace shine::fuzz {
namespace {

class QaFiles {
 public:
  QaFiles() {
    std::filesystem::create_symlink(content_.path(), input());
    std::filesystem::create_symlink(letters_.path(), folder_.path() / "x.ans");
  }

  void write(std::string_view content, std::string_view letters) {
    content_.write(content);
    letters_.write(letters);
  }
  std::filesystem::path input() const { return folder_.path() / "x.tsv"; }

 private:
  test::TemporaryFolder folder_;
  MemoryFile content_;
  MemoryFile letters_;
};

}  // namespace
}  // namespace shine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  if (size == 0) return 0;
  static fuzz::QaFiles files;
  QaConvertOptions options;
  options.format = static_cast<QaFormat>(data[0] % config_names(QaFormat{}).size());
  const std::string_view input = fuzz::as_text(data + 1, size - 1);
  if (options.format == QaFormat::mctest) {
    const auto parts = fuzz::split_input(input, 2);
    files.write(parts[0], parts[1]);
  } else {
    files.write(input, {});
  }
  fuzz::accepts([&] {
    std::string lines;
    std::size_t count = 0;
    const auto report = convert_qa({files.input()}, options, [&](QaItem&& item, std::string_view group) {
      fuzz::require(!group.empty(), "an item belongs to something");
      lines += qa_item_json(item) + '\n';
      ++count;
    });
    fuzz::require(report.items == count && report.not_in_context <= report.questions, "all is counted");
    describe(report);
    if (count == 0) return;
    files.write(lines, {});
    fuzz::require(read_qa_items(files.input()).size() == count, "what is made is read");
  });
  return 0;
}
