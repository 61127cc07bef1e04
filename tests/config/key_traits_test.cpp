#include "shine/config/key_traits.h"

#include <gtest/gtest.h>

#include "config/sample_config.h"

namespace shine::test {
namespace {

struct EngineConfig {
  Colour colour = Colour::red;
  double power = 0.0;
  double boost = 1.0;
  std::vector<std::string> fuels;
  int64_t tank = 50;

  template <class V>
  void visit(V& v) {
    v("colour", colour, "the colour");
    v("power", power, "the power", unused_with("colour", {"auto"}), FormerName{"engine.strength"});
    v("boost", boost, "above the power", above(0), unused_with("power", {"0"}), kChangesLastBits);
    v("fuels", fuels, "what it burns", ReadBy::all, kShapesNoAnswer);
    v("tank", tank, "litres",
      UnusedRule{{{"fuels", {"[]"}}, {"engine.colour", {"auto"}, /*negated=*/true}}, "without fuel"});
  }
};

struct CarConfig {
  EngineConfig engine;
  bool parked = false;

  template <class V>
  void visit(V& v) {
    v("engine", engine, "the engine", kTestsOnly, kMayChange, unused_with("parked", {"true"}));
    v("parked", parked, "stands", FormerName{"engine.off"});
  }
};

std::vector<std::string> unused_of(CarConfig config) {
  std::vector<std::string> lines;
  for (const UnusedKey& key : unused_keys(config)) {
    lines.push_back(str(key.key, " ", key.reason, " by ", join(key.causes, " ")));
  }
  return lines;
}

const KeyTraits& traits_of(const FieldList& list, const std::string& path) {
  for (const Field& field : list.fields) {
    if (field.path == path) return field.traits;
  }
  throw ConfigError("no key " + path);
}

TEST(KeyTraits, AGroupsTraitsAreThoseOfItsKeysUnlessTheySayOtherwise) {
  CarConfig config;
  const FieldList list = fields_of(config);
  EXPECT_EQ(traits_of(list, "engine.tank").read_by, ReadBy::tests);
  EXPECT_EQ(traits_of(list, "engine.tank").resume, ResumeRule::accept);
  EXPECT_EQ(traits_of(list, "engine.fuels").read_by, ReadBy::all);
  EXPECT_EQ(traits_of(list, "engine.boost").resume, ResumeRule::refuse_if_deterministic);
  EXPECT_EQ(traits_of(list, "engine.boost").read_by, ReadBy::tests);
  EXPECT_EQ(traits_of(list, "parked").read_by, ReadBy::all) << "it comes after the group";
  EXPECT_EQ(traits_of(list, "parked").resume, ResumeRule::refuse);
  EXPECT_TRUE(traits_of(list, "parked").unused.empty());
}

TEST(KeyTraits, SayWhatAResumeCompares) {
  const KeyTraits usual;
  EXPECT_TRUE(usual.fixed_in_run(false) && usual.fixed_in_run(true) && usual.fixed_in_test());
  KeyTraits inexact;
  inexact.resume = kChangesLastBits;
  EXPECT_TRUE(!inexact.fixed_in_run(false) && inexact.fixed_in_run(true) && inexact.fixed_in_test());
  KeyTraits free;
  free.resume = kMayChange;
  free.answers = kShapesNoAnswer;
  EXPECT_FALSE(free.fixed_in_run(false) || free.fixed_in_run(true) || free.fixed_in_test());
  KeyTraits training;
  training.read_by = kTrainingOnly;
  EXPECT_TRUE(training.fixed_in_run(false) && !training.fixed_in_test());
  KeyTraits tests;
  tests.read_by = kTestsOnly;
  EXPECT_TRUE(!tests.fixed_in_run(true) && tests.fixed_in_test());
}

TEST(UnusedKeys, AreThoseWithARuleThatHoldsTheirOwnRulesFirst) {
  CarConfig config;
  EXPECT_EQ(unused_of(config), (std::vector<std::string>{"engine.boost with power 0 by engine.power",
                                                         "engine.tank without fuel by engine.fuels engine.colour"}));
  config.engine.power = 3;
  config.engine.fuels = {"oil"};
  EXPECT_EQ(unused_of(config), std::vector<std::string>{});
}

TEST(UnusedKeys, RulesNameTheirReasons) {
  EXPECT_EQ(unused_with("clip", {"none"}).reason, "with clip");
  const UnusedRule rule = only_with("data.form", {"texts"});
  EXPECT_EQ(rule.reason, "with data.form");
  EXPECT_TRUE(rule.names_value);
  EXPECT_TRUE(rule.conditions.at(0).negated);
}

TEST(UnusedKeys, AConditionOnAKeyWithoutEffectNeverHolds) {
  CarConfig config;
  config.engine.colour = Colour::automatic;  // power is unused: its 0 says nothing on boost
  EXPECT_EQ(unused_of(config), std::vector<std::string>{"engine.power with colour auto by engine.colour"});
  config.parked = true;
  const std::vector<std::string> unused = unused_of(config);
  EXPECT_EQ(unused.size(), 5U);
  for (const std::string& line : unused) EXPECT_NE(line.find("with parked true by parked"), std::string::npos) << line;
}

struct MixerConfig {
  double gain_a = 0, gain_b = 0, depth = 0;
  Colour colour = Colour::red;

  template <class V>
  void visit(V& v) {
    v("gain_a", gain_a, "of red", only_with("colour", {"red"}));
    v("gain_b", gain_b, "of the others", only_with("colour", {"auto"}));
    v("colour", colour, "the colour");
    v("depth", depth, "of both", kTestsOnly);
  }
};

struct DeskConfig {
  MixerConfig left;
  double depth = 0;

  template <class V>
  void visit(V& v) {
    v("left", left, "a mixer");
    v("depth", depth, "of the desk");
  }
};

TEST(UnknownKeys, AreTakenForThoseThatHaveAnEffect) {
  const ConfigFolder folder;
  const auto fault = [&](const std::string& text) {
    DeskConfig config;
    const std::string file = folder.write("x.yaml", text);
    return folder.shorten(fault_of<Error>([&] { read_config(config, file); }));
  };
  EXPECT_EQ(fault("left: {gain_c: 1}\n"), "x.yaml:1: unknown key `gain_c`: did you mean `gain_a`?");
  EXPECT_EQ(fault("left: {gain_c: 1, colour: auto}\n"), "x.yaml:1: unknown key `gain_c`: did you mean `gain_b`?")
      << "what comes behind it counts as well";
  EXPECT_EQ(fault("gain_a: 1\nleft: {colour: auto}\n"),
            "x.yaml:1: unknown key `gain_a` at the top level: did you mean `left.gain_a`?")
      << "the only one of that name";
}

class FormerNames : public testing::Test {
 protected:
  /// Reads the text; the faults by line, or power and parked.
  std::string read(const std::string& text, WrittenBy writer, const std::vector<std::string>& overrides = {}) const {
    CarConfig config;
    Faults faults;
    origins_ = read_fields(fields_of(config), folder_.write("x.yaml", text), overrides, faults, writer);
    if (!faults.empty()) return folder_.shorten(join(faults.lines(), "\n"));
    return str(config.engine.power, " ", config.parked);
  }

  ConfigFolder folder_;
  mutable ConfigOrigins origins_;
};

TEST_F(FormerNames, AreReadAndTheUserIsToldThePresentName) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(read("engine:\n  strength: 2\n  off: true\n", WrittenBy::user), "2 1");
  EXPECT_EQ(read("parked: true\n", WrittenBy::user, {"engine.strength=2"}), "2 1");
  const std::string told = testing::internal::GetCapturedStderr();
  for (const char* line :
       {"x.yaml:2: `engine.strength` is now `engine.power`\n", "x.yaml:3: `engine.off` is now `parked`\n",
        "override `engine.strength=2`: `engine.strength` is now `engine.power`\n"}) {
    EXPECT_NE(told.find(line), std::string::npos) << told;
  }
  EXPECT_EQ(read("engine.strength: 2\n", WrittenBy::user), "x.yaml:1: `engine.strength` is now `engine.power`");
}

TEST_F(FormerNames, BesideThePresentNameTheLaterSourceWins) {
  EXPECT_EQ(read("engine: {strength: 2}\n", WrittenBy::user, {"engine.power=5"}), "5 0");
  EXPECT_EQ(read("engine: {power: 2}\n", WrittenBy::user, {"engine.strength=5"}), "5 0");
  EXPECT_EQ(read("engine: {power: 2, strength: 3}\n", WrittenBy::user),
            "x.yaml:1: `engine.power` is set twice: `engine.strength` is its former name");
}

TEST_F(FormerNames, AreReadInFilesOfPrograms) {
  EXPECT_EQ(read("engine:\n  strength: 2\n  off: true\n", WrittenBy::program), "2 1");
  EXPECT_EQ(folder_.shorten(origins_.place("engine.power")), "x.yaml:2");
  EXPECT_EQ(read("engine: {off: true}\n", WrittenBy::program), "0 1");
  EXPECT_EQ(read("engine: {power: 3}\nparked: true\n", WrittenBy::program), "3 1") << "a file of today";
  EXPECT_EQ(read("engine: 3\n", WrittenBy::program),
            "x.yaml:1: `engine` is a group: expected keys below it, found `3`");
}

TEST_F(FormerNames, NoKeyIsTheFormerNameOfKeysThatHaveNone) {
  EXPECT_EQ(read("'': 1\n", WrittenBy::program), "x.yaml:1: unknown key ``: the keys are engine, parked");
}

TEST_F(FormerNames, OverridesAreTheUsers) {
  EXPECT_EQ(read("engine: {strength: 2}\n", WrittenBy::program, {"engine.power=5"}), "5 0");
  EXPECT_EQ(read("engine: {strength: 2}\n", WrittenBy::program, {"engine.strength=5"}), "5 0");
}

}  // namespace
}  // namespace shine::test
