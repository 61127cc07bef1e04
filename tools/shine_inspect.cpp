// What a checkpoint holds, and the LoRAs it generates.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/inspect/inspect_checkpoint.h"
#include "command_line.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/files/text_input.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path checkpoint, config, output, json;
  std::vector<std::string> overrides, texts;
  std::vector<fs::path> contexts;
};

/// Files first, without the line ends at their end, then the texts of the command line.
std::vector<shine::NamedText> read_contexts(const Arguments& arguments) {
  std::vector<shine::NamedText> contexts;
  for (const fs::path& file : arguments.contexts) {
    std::string text = shine::read_foreign_text(file, shine::TextForm::any);
    text.erase(text.find_last_not_of("\r\n") + 1);
    contexts.push_back({file.string(), std::move(text)});
  }
  for (std::size_t i = 0; i < arguments.texts.size(); ++i) {
    contexts.push_back({shine::str("--text ", i + 1), arguments.texts[i]});
  }
  return contexts;
}

void write_folder(const fs::path& folder, const shine::Inspection& inspection) {
  shine::make_folder(folder, {}, "choose another --output");
  shine::write_file_atomically(folder / "inspection.md", shine::inspection_markdown(inspection));
  shine::write_file_atomically(folder / "parts.csv", shine::parts_csv(inspection));
  if (!inspection.deltas.empty()) shine::write_file_atomically(folder / "deltas.csv", shine::deltas_csv(inspection));
}

int inspect(const Arguments& arguments) {
  const shine::WeightsSource source = shine::find_weights(arguments.checkpoint, /*allow_unfinished=*/true);
  shine::Inspection inspection;
  inspection.source = source.folder.string();
  shine::log_info("weights: " + source.note);
  inspection.parts = shine::part_statistics(shine::read_weights(source));
  const auto contexts = read_contexts(arguments);
  if (contexts.empty() && !arguments.overrides.empty()) {
    shine::inspection_config(source, arguments.config, arguments.overrides);  // an unknown key is the first fault
    throw shine::ConfigError("has no effect without --context or --text (remove it)",
                             shine::str("override `", arguments.overrides.front(), "`"));
  }
  if (contexts.empty() && !arguments.config.empty()) {
    throw shine::ConfigError("has no effect without --context or --text (remove it)", "--config");
  }
  if (!contexts.empty()) {
    const auto config = shine::inspection_config(source, arguments.config, arguments.overrides);
    shine::inspect_loras(shine::build_model(config, source), contexts, inspection);
  }
  std::fputs(shine::inspection_markdown(inspection).c_str(), stdout);
  if (!arguments.output.empty()) write_folder(arguments.output, inspection);
  if (!arguments.json.empty()) {
    shine::write_file_atomically(arguments.json, shine::inspection_json(inspection).dump(2) + "\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{
      "Prints counts and norms of a checkpoint's parts; of the LoRA generated for each context given: norms, singular "
      "values and effective rank by layer and projection, and how much the LoRAs differ."};
  const auto add_path = [&](const char* name, auto& value, const char* text) {
    return shine::is_path(app.add_option(name, value, text));
  };
  add_path("CHECKPOINT", arguments.checkpoint, "A checkpoint's folder, or a run's, ours or published")->required();
  app.add_option("overrides", arguments.overrides, "key.path=value, e.g. run.device=cpu");
  add_path("--config", arguments.config, "YAML file; by default the one inside the checkpoint");
  add_path("--context", arguments.contexts, "A file that is a context; may be given several times")
      ->allow_extra_args(false);
  app.add_option("--text", arguments.texts, "A context itself; may be given several times")->allow_extra_args(false);
  add_path("--output", arguments.output, "Folder for inspection.md, parts.csv and deltas.csv");
  add_path("--json", arguments.json, "File for everything as JSON");
  app.footer("Example: shine_inspect runs/tiny-text/pretrain --text 'The harbour of Lund opens at six.'");
  return shine::run_command_line(
      "shine_inspect", app, argc, argv, [&] { return inspect(arguments); }, shine::kMemoryCure);
}
