// Checks this program's numbers against parity fixtures of the published implementation.
#include <cstdio>
#include <string>
#include <vector>

#include "app/train/rank.h"
#include "app/verify/parity.h"
#include "command_line.h"
#include "common/process_label.h"
#include "enum_option.h"
#include "shine/tensor/device.h"

namespace {

struct Arguments {
  std::vector<std::string> folders;
  std::string device = "cpu";
  shine::ParityOptions options;
  int threads = 0;
  bool quiet = false;
};

void print(const shine::ParityRow& row) {
  const std::string label = shine::is_first_process() ? "" : shine::str(shine::process_label(), ": ");
  std::printf("%-4s %s%-72s error %.3e  tolerance %.0e\n", row.passed() ? "ok" : "FAIL", label.c_str(),
              row.name.c_str(), row.error, row.tolerance);
}

/// The first rank prints all rows; the others print theirs that fail.
int verify(const Arguments& arguments, shine::Rank& rank) {
  shine::set_threads(rank.threads());
  shine::ParityOptions options = arguments.options;
  options.device = rank.device();
  bool all_passed = true;
  for (const std::string& folder : arguments.folders) {
    int rows = 0, failed = 0;
    const bool passed = shine::check_parity(folder, options, rank.shared_group(), [&](const shine::ParityRow& row) {
      ++rows;
      if (!row.passed()) ++failed;
      if (!row.passed() || (rank.is_first() && !arguments.quiet)) print(row);
    });
    all_passed = all_passed && passed;
    if (!rank.is_first()) continue;
    std::printf("%s: %d compared, %d failed%s\n", folder.c_str(), rows, failed,
                passed || failed > 0 ? "" : " here, some on other ranks");
  }
  std::fflush(stdout);
  return all_passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Recomputes every number of fixtures of the published implementation and prints the error of each beside its "
      "tolerance. Exit status 0 only if all hold. Ranks started by mpirun or torchrun share the micro-batches."};
  Arguments arguments;
  shine::is_path(app.add_option("folders", arguments.folders, "fixture folders"))->required();
  app.add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--dtype", arguments.options.dtype, "float32, or bfloat16 with wider tolerances and without decoding")
      ->capture_default_str();
  shine::add_fused_option(app);
  app.add_option("--threads", arguments.threads, "CPU threads; 0 = as the system gives");
  app.add_flag("--shard", arguments.options.shard, "each rank keeps its share of the moments alone (optimizer.shard)");
  app.add_option("--pass-tokens", arguments.options.pass_tokens, "as optimizer.pass_tokens")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40))
      ->capture_default_str();
  app.add_flag("--quiet", arguments.quiet, "print only what fails, and a line for each folder");
  app.footer("Example: shine_verify tests/golden/fixtures/base_0");
  return shine::run_command_line("shine_verify", app, argc, argv, [&] {
    const auto settings = [&] { return shine::RankSettings{arguments.device, arguments.threads}; };
    return shine::run_rank(settings, [&](shine::Rank& rank) { return verify(arguments, rank); });
  });
}
