#pragma once

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>

namespace shine {

/// What --help prints: lines of at most kWidth columns, and of every option its name, kind of value, default and
/// meaning. Ranges of numbers and which options exclude each other are left to the error messages.
class HelpFormat : public CLI::Formatter {
 public:
  static constexpr std::size_t kWidth = 100, kColumn = 34;

  std::string make_description(const CLI::App* app) const override { return wrapped(app->get_description(), 0) + "\n"; }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    return entry(make_option_name(option, is_positional) + make_option_opts(option), make_option_desc(option));
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) return " " + option->get_option_text();
    if (option->get_type_size() == 0) return "";
    const std::string type = option->get_type_name();
    const std::size_t names = type.find('{');  // of CLI::IsMember; else a validator follows the colon
    std::string text = " " + (names == std::string::npos ? type.substr(0, type.find(':')) : type.substr(names));
    if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
    if (option->get_expected_max() > 1) text += " ..";
    return option->get_required() ? text + " REQUIRED" : text;
  }

  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_name(), command->get_description());
  }

  /// A group of options within a program's own: its description is the heading.
  std::string make_expanded(const CLI::App* group) const override {
    std::string text = "\n" + group->get_description() + ":\n";
    for (const CLI::Option* option : group->get_options()) text += make_option(option, /*is_positional=*/false);
    return text;
  }

 private:
  /// Words of a text in lines, all but the first behind `indent` spaces.
  static std::string wrapped(const std::string& text, std::size_t indent) {
    std::istringstream words(text);
    std::string lines, line;
    for (std::string word; words >> word;) {
      if (!line.empty() && indent + line.size() + 1 + word.size() > kWidth) {
        lines += line + "\n" + std::string(indent, ' ');
        line.clear();
      }
      line += (line.empty() ? "" : " ") + word;
    }
    return lines + line;
  }

  static std::string entry(const std::string& name, const std::string& meaning) {
    std::string text = "  " + name;
    const std::size_t used = text.size() < kColumn ? text.size() : 0;
    if (used == 0 && !meaning.empty()) text += "\n";
    if (!meaning.empty()) text += std::string(kColumn - used, ' ') + wrapped(meaning, kColumn);
    return text + "\n";
  }
};

}  // namespace shine
