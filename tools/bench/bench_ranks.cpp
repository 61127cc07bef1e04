// Measures one optimizer step over the ranks of a job: each takes its share of the same micro-batches.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/train/rank.h"
#include "bench/bench_size.h"
#include "bench/machine.h"
#include "bench/step_subject.h"
#include "command_line.h"
#include "data/sampling/rank_share.h"
#include "io/files/text_file.h"
#include "shine/tensor/device.h"
#include "shine/train/train_step.h"

namespace {

using namespace shine;
using namespace shine::bench;

struct Arguments {
  std::string size = "cpu-small", device = "cpu", json;
  int threads = 1, steps = 5, warmup = 1;
  bool shard = false;
};

/// This rank's micro-batches of a step.
std::vector<ModelBatch> share_of(const std::vector<ModelBatch>& batches, const ProcessGroup& group) {
  std::vector<std::int64_t> tokens;
  for (const ModelBatch& batch : batches) tokens.push_back(batch.tokens());
  std::vector<ModelBatch> mine;
  const auto shares = share_batches(tokens, group.size());
  for (const std::size_t i : shares.at(static_cast<std::size_t>(group.rank()))) mine.push_back(batches[i]);
  return mine;
}

int measure(const Arguments& arguments, Rank& rank) {
  set_threads(rank.threads());
  SubjectOptions options;
  options.device = rank.device();
  StepSubject subject(find_size(arguments.size), options);
  subject.config.shard = arguments.shard;
  const ShineObjective objective(*subject.hypernetwork, /*with_penalty=*/false);
  AdamW optimizer(make_param_groups(objective.trained(), subject.config), subject.config, rank.shared_group());
  TrainStep step(objective, optimizer, subject.config, {});
  nlohmann::ordered_json found{{"size", arguments.size},
                               {"ranks", rank.group().size()},
                               {"threads", rank.threads()},
                               {"backend", rank.group().backend()},
                               {"shard", arguments.shard},
                               {"moment_bytes", optimizer.moment_bytes()},
                               {"gradient_bytes", optimizer.whole_moment_bytes() / 2}};
  for (int i = 0; i < arguments.warmup + arguments.steps; ++i) {
    const auto batches = draw_batches(subject.size, /*seed=*/1, static_cast<std::uint64_t>(i), subject.device);
    const auto mine = share_of(batches, rank.group());
    rank.group().barrier();
    const double start = now(subject.device);
    const StepResult result = step.run(mine, kLearningRate);
    if (i < arguments.warmup) continue;
    found["seconds"].push_back(now(subject.device) - start);
    found["communication_seconds"].push_back(result.communication_seconds);
    found["tokens"].push_back(result.tokens);
    found["loss"].push_back(result.loss);
  }
  if (!rank.is_first()) return 0;
  if (!arguments.json.empty()) write_file_atomically(arguments.json, found.dump(2) + "\n");
  std::printf("%s\n", found.dump().c_str());
  std::fflush(stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Measures one optimizer step over the ranks of a job (mpirun, torchrun): seconds of each step, and how long the "
      "first rank waited for the others. scripts/bench_ranks.py compares numbers of ranks."};
  Arguments arguments;
  app.add_option("--size", arguments.size, str("model and batches: ", join(size_names(), ", ")))->capture_default_str();
  app.add_option("--device", arguments.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--threads", arguments.threads, "CPU threads of each rank")->capture_default_str();
  app.add_option("--steps", arguments.steps, "steps measured")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--warmup", arguments.warmup, "steps before them")->check(CLI::Range(0, 1000))->capture_default_str();
  app.add_flag("--shard", arguments.shard, "each rank keeps its share of the moments alone (optimizer.shard)");
  app.add_option("--json", arguments.json, "also write the numbers to this file");
  app.footer("Example: mpirun -n 2 bench_ranks --size cpu-small --shard");
  return run_command_line("bench_ranks", app, argc, argv, [&] {
    const auto settings = [&] { return RankSettings{arguments.device, arguments.threads}; };
    return run_rank(settings, [&](Rank& rank) { return measure(arguments, rank); });
  });
}
