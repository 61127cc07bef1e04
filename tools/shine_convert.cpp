// A checkpoint of this project to the published layout, or the other way.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/convert_checkpoint.h"
#include "command_line.h"

namespace {

using shine::CheckpointLayout;

struct Arguments {
  std::filesystem::path from, to;
  std::string layout;  ///< empty: the other one
};

int convert(const Arguments& arguments) {
  std::optional<CheckpointLayout> layout;
  if (!arguments.layout.empty()) {
    layout = arguments.layout == "ours" ? CheckpointLayout::ours : CheckpointLayout::published;
  }
  const shine::Conversion made = shine::convert_checkpoint(arguments.from, arguments.to, layout);
  std::uintmax_t total = 0;
  for (const auto& [name, bytes] : made.files) {
    std::printf("%-32s %15ju bytes\n", name.c_str(), bytes);
    total += bytes;
  }
  for (const std::string& note : made.notes) std::fprintf(stderr, "shine_convert: note: %s\n", note.c_str());
  std::printf("%s: %s layout, step %lld, %ju bytes, from %s\n", arguments.to.c_str(),
              made.layout == CheckpointLayout::published ? "published" : "our", static_cast<long long>(made.step),
              total, made.source.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "Writes the trained weights of a checkpoint in the other layout: the published implementation's "
      "(metanetwork.pth, ..) or this project's (trained.safetensors, ..).");
  shine::is_path(app.add_option("FROM", arguments.from, "A checkpoint's folder, or a run's, of either kind"))
      ->required();
  shine::is_path(app.add_option("TO", arguments.to, "The folder to write; it must not exist"))->required();
  app.add_option("--to", arguments.layout, "The layout to write; by default the one that FROM does not have")
      ->check(CLI::IsMember({"ours", "published"}));
  app.footer("Example: shine_convert runs/tiny-text/pretrain published_checkpoint");
  return shine::run_command_line("shine_convert", app, argc, argv, [&] { return convert(arguments); });
}
