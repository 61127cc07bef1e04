#include "bench/size_options.h"

#include <CLI/CLI.hpp>

#include "shine/common/error.h"

namespace shine::bench {
namespace {

void set(std::int64_t& value, const std::optional<std::int64_t>& asked) {
  if (asked) value = *asked;
}

void set_lengths(LengthRange& range, const SizeOptions& options, const std::optional<std::int64_t>& fixed) {
  set(range.shortest, options.shortest);
  set(range.longest, options.longest);
  if (fixed) range = {*fixed, *fixed};
  SHINE_CHECK(range.shortest <= range.longest, ConfigError, "lengths from ", range.shortest, " to ", range.longest,
              ": --shortest is above --longest");
}

}  // namespace

void add_size_options(CLI::App& app, SizeOptions& options, bool conversations) {
  app.add_option("--size", options.name, str("model and batches: ", join(size_names(), ", ")))->capture_default_str();
  const auto number = [&app](const char* name, std::optional<std::int64_t>& field, const char* text) {
    app.add_option(name, field, text)->check(CLI::Range(1, 1 << 20));
  };
  number("--batch", options.batch, "samples in a micro-batch");
  number("--shortest", options.shortest, "least length drawn of contexts and of conversations");
  number("--longest", options.longest, "greatest length drawn of them");
  number("--context", options.context, "every context has so many tokens");
  number("--rank", options.rank, "rank r of the generated LoRA");
  number("--meta-rank", options.meta_rank, "rank of the Meta-LoRA");
  if (!conversations) return;
  number("--conversation", options.conversation, "every conversation has so many tokens");
  number("--accumulation", options.accumulation, "micro-batches in an optimizer step");
}

BenchSize choose_size(const SizeOptions& options) {
  BenchSize size = find_size(options.name);
  set(size.batch, options.batch);
  set(size.accumulation, options.accumulation);
  set(size.hypernetwork.lora_rank, options.rank);
  set(size.hypernetwork.meta_lora_rank, options.meta_rank);
  set_lengths(size.contexts, options, options.context);
  set_lengths(size.conversations, options, options.conversation);
  return size;
}

}  // namespace shine::bench
