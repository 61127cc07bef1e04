#include "app/generate/chat_command.h"

#include <gtest/gtest.h>

#include "config/enum_value.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::test {
namespace {

void expect_command(const std::string& line, ChatAction action, const std::string& argument) {
  const ChatCommand command = parse_chat_line(line);
  EXPECT_EQ(enum_name(command.action), enum_name(action)) << line;
  EXPECT_EQ(command.argument, argument) << line;
}

TEST(ChatCommandTest, LinesAreQuestionsOrCommands) {
  expect_command("Who sold it?", ChatAction::question, "Who sold it?");
  expect_command("  Who sold it? \r\n", ChatAction::question, "Who sold it?");
  expect_command(" /home is where?", ChatAction::question, "/home is where?");
  expect_command("", ChatAction::nothing, "");
  expect_command(" \t ", ChatAction::nothing, "");
  expect_command("/context my notes/a.txt ", ChatAction::context, "my notes/a.txt");
  expect_command("/text\tThe baker sold a lamp.", ChatAction::text, "The baker sold a lamp.");
  expect_command("/methods shine, naive", ChatAction::methods, "shine, naive");
  expect_command("/adapter a:0.7 b:0.3", ChatAction::adapter, "a:0.7 b:0.3");
  expect_command("/save out", ChatAction::save, "out");
  expect_command("/stats", ChatAction::stats, "");
  expect_command("/reset  ", ChatAction::reset, "");
  expect_command("/help", ChatAction::help, "");
  expect_command("/quit", ChatAction::quit, "");
}

TEST(ChatCommandTest, FaultsNameTheCommand) {
  EXPECT_EQ(fault_of<ConfigError>([] { parse_chat_line("/context"); }), "/context: expected /context FILE");
  EXPECT_EQ(fault_of<ConfigError>([] { parse_chat_line("/reset now"); }), "/reset: expected /reset");
  expect_fault<ConfigError>("there is no command /contexts (/help lists them", [] { parse_chat_line("/contexts a"); });
  expect_fault<ConfigError>("there is no command /question", [] { parse_chat_line("/question a"); });
  expect_fault<ConfigError>("there is no command / (", [] { parse_chat_line("/"); });
}

TEST(ChatCommandTest, TheHelpListsEveryCommand) {
  const std::string help = chat_help();
  for (const std::string_view name : config_names(ChatAction{})) {
    const bool command = name != "question" && name != "nothing";
    EXPECT_EQ(help.find("  /" + std::string(name)) != std::string::npos, command) << name << "\n" << help;
  }
}

}  // namespace
}  // namespace shine::test
