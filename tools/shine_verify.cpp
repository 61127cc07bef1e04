// Checks this program's numbers against parity fixtures of the published implementation.
#include <cstdio>
#include <string>
#include <vector>

#include "command_line.h"
#include "shine/app/parity.h"
#include "shine/tensor/device.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Recomputes every number of parity fixture folders: one line per tensor with its relative error and the "
      "tolerance, then the training steps. Exit 0 only if all hold."};
  std::vector<std::string> folders;
  shine::ParityOptions options;
  int threads = 0;
  bool quiet = false;
  app.add_option("folders", folders, "fixture folders")->required();
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--dtype", options.dtype,
                 "float32, or bfloat16 with tolerances 4e-2 (states, logits), 2e-2 (losses), 2e-1 (gradients, norms), "
                 "1e-1 (trained tensors) and without greedy decoding")
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads; 0 = as the system gives");
  app.add_flag("--quiet", quiet, "print only what fails, and a line for each folder");
  return shine::run_command_line("shine_verify", app, argc, argv, [&] {
    shine::set_threads(threads);
    int failed_folders = 0;
    for (const std::string& folder : folders) {
      int rows = 0, failed = 0;
      shine::check_parity(folder, options, [&](const shine::ParityRow& row) {
        ++rows;
        if (!row.passed()) ++failed;
        if (quiet && row.passed()) return;
        std::printf("%-4s %-72s error %.3e  tolerance %.0e\n", row.passed() ? "ok" : "FAIL", row.name.c_str(),
                    row.error, row.tolerance);
      });
      std::printf("%s: %d compared, %d failed\n", folder.c_str(), rows, failed);
      failed_folders += failed > 0 ? 1 : 0;
    }
    return failed_folders == 0 ? 0 : 1;
  });
}
