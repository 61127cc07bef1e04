#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/first_line.h"
#include "common/main_guard.h"
#include "common/process_label.h"
#include "config/path_variables.h"
#include "help_format.h"
#include "shine/common/error.h"
#include "shine/common/version.h"

namespace shine {

/// An option for a path: `~` at its start is the home folder, also where the shell leaves it: --output=~/x.
inline CLI::Option* is_path(CLI::Option* option) {
  return option->transform([](const std::string& text) {
    ExpandedPath expanded = expand_home(text);
    if (!expanded.fault.empty()) throw ConfigError(expanded.fault, "command line");
    return std::move(expanded.path);
  });
}

/// run_main for a program with a command line: reads it into what `app` is bound to, then runs the body. --help and
/// --version print and end with 0; a wrong command line is an error as any other, one line and status 1.
/// @param app  its footer is an example, one line: "Example: .."
inline int run_command_line(const std::string& program, CLI::App& app, int argc, char** argv,
                            const std::function<int()>& body, std::string_view memory_cure = "") {
  app.name(program);
  app.set_version_flag("--version", program + " " + version());
  const auto format = std::make_shared<HelpFormat>();
  app.formatter(format);
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) command->formatter(format);
  const auto parse_and_run = [&] {
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success& asked) {
      return app.exit(asked);
    } catch (const CLI::ParseError& fault) {
      throw ConfigError(first_line(fault.what()), "command line", "see " + program + " --help");
    }
    return body();
  };
  const int status = run_main(program, parse_and_run, memory_cure);
  if (status == 0 || process_label().empty()) return status;
  // A rank that leaves its job early: clean-up at exit could wait for ever (for a collective on a GPU).
  std::fflush(nullptr);
  std::_Exit(status);
}

}  // namespace shine
