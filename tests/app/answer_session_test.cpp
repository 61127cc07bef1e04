#include "app/generate/answer_session.h"

#include <gtest/gtest.h>

#include "app/fixture_experiment.h"
#include "app/generate/answer_questions.h"
#include "app/generate/chat.h"
#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int64_t>;

const NamedText kBell{"bell.txt", "A bell hangs in the gate."}, kRope{"rope.txt", "The sailor found a rope."};

class AnswerSessionTest : public testing::Test {
 protected:
  AnswerSessionTest() { fixture_.experiment.config.evaluation.decoding.max_new_tokens = 12; }

  AnswerSession session(SessionOptions options = {}) const { return {fixture_.experiment, fixture_.weights, options}; }
  AnswerSession without_weights(SessionOptions options = {}) const {
    return {fixture_.experiment, std::nullopt, options};
  }

  FixtureExperiment fixture_{/*generated_scale=*/0.1};  // so that each context has answers of its own
  TemporaryFolder folder_;
};

TEST_F(AnswerSessionTest, AMethodWithoutItsContextSaysWhatItLacks) {
  AnswerSession bare = without_weights();
  EXPECT_EQ(fault_of<ConfigError>([&] { bare.ask(Method::in_context, "who?"); }),
            "method in_context has no context (give one)");
  EXPECT_EQ(fault_of<ConfigError>([&] { bare.ask(Method::shine, "who?"); }),
            "method shine has no adapter (give an adapter, or start with --checkpoint)");
  EXPECT_EQ(fault_of<ConfigError>([&] { bare.ask(Method::shuffled, "who?"); }),
            "method shuffled has no adapter (start with --other-context FILE)");
  EXPECT_EQ(fault_of<ConfigError>([&] { bare.save(folder_.path() / "out"); }),
            "there is no adapter to save (give a context, or an adapter)");
  expect_fault<ConfigError>("bell.txt: a LoRA is made by trained weights", [&] { bare.set_other_context(kBell); });
  expect_fault<ConfigError>("a.txt: the context is empty", [&] { bare.set_context({"a.txt", ""}); });
  EXPECT_EQ(bare.ask(Method::naive, "who?").ids.size(), 12U);
  bare.set_context(kBell);
  EXPECT_EQ(bare.ask(Method::in_context, "who?").ids.size(), 12U);
  EXPECT_EQ(bare.describe(), "context bell.txt: 25 tokens\n");
}

TEST_F(AnswerSessionTest, ASavedAdapterGivesTheSameTokens) {
  AnswerSession made = session();
  made.set_context(kBell);
  const Answer first = made.ask(Method::shine, "who?"), second = made.ask(Method::shine, "and then?");
  const fs::path folder = folder_.path() / "bell";
  EXPECT_EQ(made.save(folder), folder.string() + ": the adapter in PEFT's form");
  expect_fault<IoError>("exists already", [&] { made.save(folder); });

  AnswerSession loaded = without_weights();
  loaded.set_adapters({{folder, 1.0}});
  EXPECT_EQ(loaded.ask(Method::shine, "who?").ids, first.ids);
  EXPECT_EQ(loaded.ask(Method::shine, "and then?").ids, second.ids);
  EXPECT_NE(loaded.ask(Method::naive, "who?").ids, first.ids);
  EXPECT_NE(loaded.describe().find(": read from " + folder.string() + "\n"), std::string::npos) << loaded.describe();

  AnswerSession halves = without_weights();
  halves.set_adapters({{folder, 0.5}, {folder, 0.5}});
  EXPECT_EQ(halves.ask(Method::shine, "who?").ids, first.ids);
  EXPECT_NE(halves.describe().find("bell times 0.5 and "), std::string::npos) << halves.describe();
}

TEST_F(AnswerSessionTest, ShuffledHasTheLoraOfTheOtherContext) {
  AnswerSession both = session(), other = session();
  both.set_context(kBell);
  both.set_other_context(kRope);
  other.set_context(kRope);
  const Ids answer = other.ask(Method::shine, "who?").ids;
  EXPECT_EQ(both.ask(Method::shuffled, "who?").ids, answer);
  EXPECT_NE(both.ask(Method::shine, "who?").ids, answer);
}

TEST_F(AnswerSessionTest, AnotherContextOrResetBeginsAnew) {
  AnswerSession talk = session();
  talk.set_context(kBell);
  const Answer first = talk.ask(Method::shine, "who?"), again = talk.ask(Method::shine, "who?");
  EXPECT_GT(again.prompt_ids.size(), first.prompt_ids.size());
  talk.reset();
  EXPECT_EQ(talk.ask(Method::shine, "who?").prompt_ids, first.prompt_ids);
  talk.set_context(kRope);
  const Answer other = talk.ask(Method::shine, "who?");
  EXPECT_EQ(other.prompt_ids, first.prompt_ids);
  EXPECT_NE(other.ids, first.ids);
}

TEST_F(AnswerSessionTest, ALongContextIsAnErrorOrCutAndSaysSo) {
  fixture_.experiment.config.evaluation.context_max_length = 20;
  AnswerSession strict = session(), cutting = session({.over_long = LongContext::cut});
  strict.set_context({"short.txt", "A bell."});
  const Ids before = strict.ask(Method::shine, "who?").ids;
  expect_fault<ConfigError>("bell.txt: the context has 25 tokens, more than evaluation.context_max_length 20",
                            [&] { strict.set_context(kBell); });
  strict.reset();
  EXPECT_EQ(strict.ask(Method::shine, "who?").ids, before) << "all is as it was";
  cutting.set_context(kBell);
  EXPECT_NE(cutting.describe().find(", the last 5 tokens of its context cut (--over-long cut)\n"), std::string::npos)
      << cutting.describe();
}

TEST_F(AnswerSessionTest, AnAdapterOfAnotherBackboneIsRefusedUnlessAllowed) {
  AnswerSession made = session();
  made.set_context(kBell);
  const fs::path folder = folder_.path() / "bell", backbone = folder_.path() / "other";
  made.save(folder);
  fs::copy(fixture_.folder() / "backbone", backbone, fs::copy_options::recursive);
  std::string bytes = read_bytes(backbone / "model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(backbone / "model.safetensors", bytes);
  fixture_.experiment.config.model.path = backbone.string();
  expect_fault<ConfigError>(folder.string(), [&] { without_weights().set_adapters({{folder, 1.0}}); });
  AnswerSession any = without_weights({.any_backbone = true});
  any.set_adapters({{folder, 1.0}});
  EXPECT_EQ(any.ask(Method::shine, "who?").ids.size(), 12U);
}

/// A terminal whose lines are known beforehand.
struct ScriptedTerminal {
  explicit ScriptedTerminal(std::vector<ChatLine> all) : lines(std::move(all)) {}

  std::string talk(AnswerSession& session) {
    run_chat(session, {[this](const std::string&) {
                         return next < lines.size() ? lines[next++] : ChatLine{LineEnd::end, {}};
                       },
                       [this](std::string_view text) {
                         written += text;
                         ++writes;
                       },
                       [this] { return interrupt_after > 0 && ++asked == interrupt_after; }});
    return written;
  }

  std::vector<ChatLine> lines;
  std::size_t next = 0, writes = 0;
  std::string written;
  int interrupt_after = 0, asked = 0;
};

ChatLine line(const std::string& text) {
  return {LineEnd::line, text};
}

TEST_F(AnswerSessionTest, AChatAnswersAndFollowsCommands) {
  AnswerSession reference = session(), talk = session();
  reference.set_context({"/text", "A bell."});
  const std::string answer = reference.ask(Method::shine, "who?").text;
  const std::string out = (folder_.path() / "out").string();
  ScriptedTerminal terminal({line("who?"), line("/text A bell."), line(""), line("who?"), line("/stats"),
                             line("/save " + out), line("/nonsense"), line("/context /nowhere.txt"), line("/help"),
                             line("/methods naive,shine"), line("who?"), line("/adapter " + out + ":0.5"),
                             line("/quit"), line("never read")});
  const std::string written = terminal.talk(talk);
  for (const std::string& part :
       {std::string("error: method shine has no adapter (give a context, or an adapter)\ncontext /text: 7 tokens\n"),
        "\n" + answer + "\n", std::string("shine: prompt "), out + ": the adapter in PEFT's form\n",
        std::string("error: there is no command /nonsense"), std::string("error: /nowhere.txt"),
        std::string("  /context FILE"), std::string("\nnaive       "), std::string("\nshine       "),
        ": read from " + out + " times 0.5\n"}) {
    EXPECT_NE(written.find(part), std::string::npos) << part << "\nis not in\n" << written;
  }
  EXPECT_EQ(terminal.next, 13U);
}

TEST_F(AnswerSessionTest, AChatStreamsAndStopsAnAnswer) {
  AnswerSession talk = session();
  talk.set_context(kBell);
  ScriptedTerminal whole({line("who?")}), stopped({line("who?"), line("and then?")});
  whole.talk(talk);
  EXPECT_GE(whole.writes, 4U) << "piece by piece";
  talk.reset();
  stopped.interrupt_after = 4;  // at the third token: the first time it is asked is before the answer
  EXPECT_NE(stopped.talk(talk).find("(stopped)\n"), std::string::npos) << stopped.written;
  EXPECT_EQ(stopped.next, 2U) << "the chat goes on";
}

TEST_F(AnswerSessionTest, TwoInterruptsInARowEndAChat) {
  AnswerSession talk = session();
  const ChatLine interrupt{LineEnd::interrupted, {}};
  ScriptedTerminal terminal({interrupt, line("/stats"), interrupt, interrupt, line("never read")});
  const std::string written = terminal.talk(talk);
  EXPECT_EQ(terminal.next, 4U);
  EXPECT_EQ(written, "(Ctrl-C again, Ctrl-D or /quit to leave)\n(Ctrl-C again, Ctrl-D or /quit to leave)\n");
}

TEST_F(AnswerSessionTest, QuestionsArePrintedWithTheirAnswers) {
  AnswerSession reference = session(), asked = session();
  for (AnswerSession* const each : {&reference, &asked}) {
    each->set_methods({Method::naive, Method::shine});
    each->set_context(kBell);
  }
  testing::internal::CaptureStdout();
  answer_questions(asked, {"who?"}, /*json=*/false);
  const std::string printed = testing::internal::GetCapturedStdout();
  std::string expected = "who?\n";
  for (const auto& [method, label] :
       {std::pair{Method::naive, "naive       "}, std::pair{Method::shine, "shine       "}}) {
    std::string text = reference.ask(method, "who?").text;
    for (std::size_t i = 0; (i = text.find('\n', i)) != std::string::npos; ++i) text.insert(i + 1, 12, ' ');
    expected += label + text + "\n";
  }
  EXPECT_EQ(printed, expected);
}

}  // namespace
}  // namespace shine::test
