// Tests reconstruction and completion against the length of the context.
#include "app/evaluate/evaluate_reconstruction.h"
#include "command_line.h"
#include "evaluation_command.h"
#include "shine/app/builders.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Measures loss and perplexity of reconstruction and completion against the length of the context, by methods "
      "shine, shuffled and naive. Exit status 75: stopped by a signal, run again with --resume to go on."};
  const shine::EvaluationCommand command(app);
  app.footer("Example: shine_test_pretrain configs/tiny-world/pretrain.yaml --baselines naive,shine --limit 50");
  return shine::run_command_line(
      "shine_test_pretrain", app, argc, argv,
      [&] {
        return command.run([&](const shine::ExperimentConfig& config, shine::Rank& rank) {
          return shine::evaluate_reconstruction(config, command.resume(), rank);
        });
      },
      shine::kMemoryCure);
}
