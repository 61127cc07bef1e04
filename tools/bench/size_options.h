#pragma once

#include <optional>
#include <string>

#include "bench/bench_size.h"

namespace CLI {
class App;
}

namespace shine::bench {

/// A size by name, and what of it is asked otherwise on the command line.
struct SizeOptions {
  std::string name = "cpu-small";
  std::optional<std::int64_t> batch, accumulation, context, conversation, shortest, longest, rank, meta_rank;
};

/// --size, --batch, --shortest, --longest, --context, --rank, --meta-rank; with `conversations` also what only a
/// training step has.
void add_size_options(CLI::App& app, SizeOptions& options, bool conversations);

/// Throws ConfigError for an unknown name and for lengths that contradict each other.
BenchSize choose_size(const SizeOptions& options);

}  // namespace shine::bench
