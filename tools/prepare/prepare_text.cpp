#include "prepare/prepare_text.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "command_line.h"
#include "common/format.h"
#include "common/timer.h"
#include "enum_option.h"
#include "shine/config/data_config.h"
#include "shine/text/special_tokens.h"

namespace shine {
namespace {

constexpr double kMiB = 1 << 20;
constexpr double kGiB = 1 << 30;
constexpr double kSecondsBetweenLines = 5;

/// "1:02:03"
std::string clock(double seconds) {
  const auto whole = static_cast<long>(seconds);
  return format("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

/// A line every few seconds: how much was read, and when it ends.
class ProgressLines {
 public:
  void show(const StoreProgress& progress) {
    if (before_ == 0 || progress.bytes_read < before_) before_ = progress.bytes_read;
    if (timer_.seconds() < next_) return;
    next_ = timer_.seconds() + kSecondsBetweenLines;
    const auto read = static_cast<double>(progress.bytes_read), all = static_cast<double>(progress.bytes);
    const double done = read - static_cast<double>(before_), left = std::max(0.0, all - read);
    std::cerr << format("%.1f of %.1f MiB read, %llu documents, %llu tokens", read / kMiB, all / kMiB,
                        static_cast<unsigned long long>(progress.documents),
                        static_cast<unsigned long long>(progress.tokens));
    if (done > 0) std::cerr << ", " << clock(timer_.seconds() * left / done) << " left";
    std::cerr << std::endl;
  }

 private:
  Timer timer_;
  double next_ = kSecondsBetweenLines;
  std::uint64_t before_ = 0;  ///< read when the first batch was done
};

void print(const StoreIndex& index, const std::filesystem::path& folder) {
  const StoreStatistics& s = index.statistics;
  std::cout << folder.string() << ": " << s.documents << " documents, " << s.tokens << " tokens, "
            << index.shards.size() << " shards\n"
            << "read: " << s.read << " documents; dropped: " << s.empty << " empty";
  if (index.options.unique) std::cout << ", " << s.duplicate << " equal to an earlier one";
  std::cout << "; " << s.repaired << " with repaired UTF-8\n";
  if (index.options.split > 0) std::cout << "split off: " << s.split_off << " pieces\n";
  if (s.changed > 0) {
    std::cout << "changed: " << s.changed
              << " documents are trained on as the tokenizer gives them back (normalised)\n";
  }
  std::cout << "tokens of a document (the longest has " << s.longest << "):\n";
  for (std::size_t bits = 1; bits < s.lengths.size(); ++bits) {
    if (s.lengths[bits] == 0) continue;
    const std::uint64_t first = std::uint64_t{1} << (bits - 1);
    std::cout << "  " << first << " to " << 2 * first - 1 << ": " << s.lengths[bits] << '\n';
  }
}

}  // namespace

PrepareText::PrepareText(CLI::App& app)
    : command_(app.add_subcommand("text",
                                  "Tokenise texts or questions into a store that training reads without loading it")) {
  StoreOptions& options = job_.options;
  command_->footer("Example: shine_prepare text --input a.jsonl.zst --tokenizer models/Qwen3-0.6B --output store");
  is_path(command_->add_option("--input", job_.files, ".txt or .jsonl, packed as .gz or .zst or not"))->required();
  is_path(command_->add_option("--tokenizer", tokenizer_, "Folder of the model that will be trained"))->required();
  is_path(command_->add_option("--output", job_.output, "The store's folder; one that is begun is gone on with"))
      ->required();
  command_->add_flag_callback(
      "--questions", [&options] { options.contents = StoreContents::questions; },
      "The files hold items of questions, as shine_prepare qa writes them (.jsonl): for stages ift_mqa and ift_1qa");
  command_->add_option("--field", options.field, ".jsonl: the key of the text")->capture_default_str();
  command_->add_option("--separator", options.separator, ".txt: line between documents; a blank line where not given");
  add_enum_option<SpecialTokenUse>(
      *command_, "--special-tokens", "Special-token strings in texts: parse or escape, as text.special_tokens",
      [&options](auto use) {
        options.special_tokens = use == SpecialTokenUse::parse ? SpecialTokens::parse : SpecialTokens::escape;
      });
  command_
      ->add_option("--split", options.split, "Most tokens of a document; longer ones become several. 0: as they are")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI::Option* unique = command_->add_flag("--unique", options.unique, "Drop texts that equal an earlier one");
  command_->add_option("--unique-memory", unique_gib_, "GiB that finding these may take (24 to 72 bytes a text)")
      ->check(CLI::Range(0.001, 4096.0))
      ->needs(unique)
      ->capture_default_str();
  command_->add_option("--shard-size", shard_mib_, "MiB of a shard: also memory, and what a kill loses")
      ->check(CLI::Range(0.001, 16384.0))
      ->capture_default_str();
  command_->add_option("--threads", job_.threads, "0: as many as cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

bool PrepareText::is_chosen() const {
  return command_->parsed();
}

int PrepareText::run() const {
  TextStoreJob job = job_;
  job.options.shard_bytes = static_cast<std::uint64_t>(shard_mib_ * kMiB);
  job.unique_bytes = static_cast<std::uint64_t>(unique_gib_ * kGiB);
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(tokenizer_);
  add_task_tokens(*tokenizer);
  ProgressLines lines;
  const StoreIndex index =
      write_text_store(job, *tokenizer, [&](const StoreProgress& progress) { lines.show(progress); });
  print(index, job.output);
  return 0;
}

}  // namespace shine
