// Writes the adapter of a context, or of many, in the form that another program loads.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/adapt/export_contexts.h"
#include "app/adapt/generate_adapter.h"
#include "app/adapt/load_adapters.h"
#include "app/inspect/inspect_checkpoint.h"
#include "command_line.h"
#include "common/stop_signals.h"
#include "enum_option.h"
#include "io/files/text_input.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path config, checkpoint, context, contexts, output;
  std::vector<std::string> overrides, adapters;
  shine::ExportOptions options;
  shine::LongContext over_long = shine::LongContext::error;
  bool any_backbone = false;
};

/// The program's configuration, which has the sizes of the weights where there are any.
shine::ExperimentConfig read_config(const Arguments& arguments, const shine::WeightsSource* weights) {
  const auto config = weights ? shine::inspection_config(*weights, arguments.config, arguments.overrides)
                              : shine::load_experiment_config(arguments.config, arguments.overrides);
  shine::set_log_level(config.logging.level);
  SHINE_CHECK(!weights || config.stage.name != shine::StageName::backbone, shine::ConfigError,
              "stage backbone generates no LoRA (name a checkpoint of another stage)");
  shine::check_backbone(config);
  return config;
}

void write(const shine::Adapter& adapter, const Arguments& arguments, const shine::ExportBase& base) {
  const auto written = shine::export_adapter(adapter, arguments.output, arguments.options, base);
  std::fputs(shine::export_text(written, arguments.output, arguments.options).c_str(), stdout);
}

int convert(const Arguments& arguments) {
  const shine::ExperimentConfig config = read_config(arguments, nullptr);
  shine::require_absent(arguments.output);
  std::vector<shine::AdapterChoice> choices;
  for (const std::string& text : arguments.adapters) choices.push_back(shine::adapter_choice(text));
  write(shine::load_adapters(choices, config.model.path, arguments.any_backbone), arguments,
        shine::ExportBase::of(config.model.path));
  return 0;
}

int export_one(const Arguments& arguments) {
  const shine::WeightsSource weights = shine::find_weights(arguments.checkpoint, /*allow_unfinished=*/true);
  const shine::ExperimentConfig config = read_config(arguments, &weights);
  const shine::ExportBase base = shine::ExportBase::of(config.model.path);
  shine::check_export(arguments.output, arguments.options, base, config.hypernetwork.lora_rank);
  shine::require_absent(arguments.output);
  std::string text = shine::read_foreign_text(arguments.context, shine::TextForm::any);
  text.erase(text.find_last_not_of("\r\n") + 1);
  shine::log_info("weights: " + weights.note);
  const shine::Experiment experiment = shine::build_model(config, weights);
  write(
      shine::generate_adapter(experiment, weights, {arguments.context.string(), std::move(text)}, arguments.over_long),
      arguments, base);
  return 0;
}

int export_many(const Arguments& arguments) {
  std::optional<shine::WeightsSource> weights;
  const auto load = [&] {
    weights = shine::find_weights(arguments.checkpoint, /*allow_unfinished=*/true);
    return read_config(arguments, &*weights);
  };
  return shine::run_rank(load, [&](const shine::ExperimentConfig& config, shine::Rank& rank) {
    const shine::ContextsToExport request{shine::read_identified_contexts(arguments.contexts), arguments.output,
                                          arguments.options, arguments.over_long};
    const auto done = shine::export_contexts(config, *weights, request, rank);
    if (!done.stopped_by.empty()) {
      shine::log_warning("stopped by " + done.stopped_by + ": run the same command to go on");
      return shine::kExitStopped;
    }
    if (rank.is_first()) {
      std::printf("%s: adapters of %zu contexts, %zu of them were there\n", arguments.output.c_str(), done.contexts,
                  done.kept);
    }
    return 0;
  });
}

int export_adapters(const Arguments& arguments) {
  if (!arguments.adapters.empty()) return convert(arguments);
  return arguments.contexts.empty() ? export_one(arguments) : export_many(arguments);
}

void add_sources(CLI::App& app, Arguments& arguments) {
  const auto add_path = [&](const char* name, fs::path& value, const char* form, const char* text) {
    return shine::is_path(app.add_option(name, value, text))->option_text(form);
  };
  CLI::Option* const checkpoint = add_path("--checkpoint", arguments.checkpoint, "RUN", "run folder or checkpoint");
  CLI::Option* const context = add_path("--context", arguments.context, "FILE", "the context");
  CLI::Option* const contexts =
      add_path("--contexts", arguments.contexts, "FILE.jsonl", "{id, context} a line; goes on where it was stopped");
  CLI::Option* const adapters =
      app.add_option("--adapter", arguments.adapters, "converts it, without RUN; several are added")
          ->option_text("PATH[:WEIGHT]")
          ->allow_extra_args(false);
  CLI::Option* const over_long =
      shine::add_enum_option<shine::LongContext>(app, "--over-long", "for evaluation.context_max_length (error)",
                                                 [&](shine::LongContext chosen) { arguments.over_long = chosen; })
          ->option_text("cut|error");
  CLI::Option* const any =
      app.add_flag("--any-backbone", arguments.any_backbone, "take an --adapter of another one")->option_text(" ");
  context->needs(checkpoint)->excludes(contexts)->excludes(adapters);
  contexts->needs(checkpoint)->excludes(adapters);
  adapters->excludes(checkpoint)->excludes(over_long);
  any->needs(adapters);
}

void add_options(CLI::App& app, Arguments& arguments) {
  shine::ExportOptions& options = arguments.options;
  shine::add_enum_option<shine::AdapterFormat>(app, "--format", "peft, gguf, mlx, merged (into the model) or shine",
                                               [&](shine::AdapterFormat chosen) { options.format = chosen; })
      ->option_text("FORMAT")
      ->required();
  shine::is_path(app.add_option("--output", arguments.output, "new folder; of format gguf, file"))
      ->option_text("PATH")
      ->required();
  shine::add_enum_option<shine::AdapterDtype>(app, "--dtype", "float32 (without), bfloat16 or float16",
                                              [&](shine::AdapterDtype chosen) { options.dtype = chosen; })
      ->option_text("TYPE");
  app.add_option("--max-rank", options.max_rank, "lowers the rank to R by SVD, says the error")
      ->option_text("R")
      ->check(CLI::Range(1, 1 << 20));
  shine::add_enum_option<shine::AdapterTarget>(app, "--for", "its limits: vllm, sglang, llama.cpp, mlx or peft",
                                               [&](shine::AdapterTarget chosen) { options.target = chosen; })
      ->option_text("PROGRAM");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Writes the LoRA of a context, or of each line, as an adapter for other programs."};
  shine::is_path(app.add_option("CONFIG", arguments.config, "YAML file, the same as for training"))
      ->option_text(" ")
      ->required();
  app.add_option("overrides", arguments.overrides, "key.path=value, e.g. run.device=cpu")->option_text("..");
  add_sources(app, arguments);
  add_options(app, arguments);
  app.footer("Example: shine_export c.yaml --checkpoint runs/a --context a.txt --format peft --output a");
  const auto body = [&] {
    if (arguments.context.empty() && arguments.contexts.empty() && arguments.adapters.empty()) {
      throw shine::ConfigError("one of --context, --contexts and --adapter is needed", "command line",
                               "see shine_export --help");
    }
    return export_adapters(arguments);
  };
  return shine::run_command_line("shine_export", app, argc, argv, body, shine::kMemoryCure);
}
