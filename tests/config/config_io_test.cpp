#include "config/config_io.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "config/sample_config.h"
#include "shine/config/run_config.h"

namespace shine::test {
namespace {

TEST(ConfigRead, KeysThatAreNotSetKeepTheirDefault) {
  const SampleConfig config = ConfigFolder().read("outer: {flag: true}\n");
  SampleConfig expected;
  expected.outer.flag = true;
  EXPECT_EQ(config, expected);
}

TEST(ConfigRead, ReadsEveryType) {
  const SampleConfig config = ConfigFolder().read(
      "# comment\n"
      "outer:\n"
      "  colour: auto\n"
      "  flag: True\n"
      "  inner: {lora_rank: -0, rate: 5e-5}\n"
      "  name: 2024\n",
      {"outer.inner.lora_rank=16"});
  EXPECT_EQ(config.outer.colour, Colour::automatic);
  EXPECT_TRUE(config.outer.flag);
  EXPECT_EQ(config.outer.inner.lora_rank, 16);
  EXPECT_EQ(config.outer.inner.rate, 5e-5);
  EXPECT_EQ(config.outer.name, "2024");
}

TEST(ConfigRead, ReadsNumbersAsYamlWritesThem) {
  for (const std::string text : {"1e-5", "+1e-5", "1.0e-05", "1E-5", ".00001", "+.00001", "10.e-6"}) {
    EXPECT_EQ(ConfigFolder().read("outer: {inner: {rate: " + text + "}}\n").outer.inner.rate, 1e-5) << text;
  }
  EXPECT_EQ(ConfigFolder().read("counts: [+3, 010, -2]\n").counts, (std::vector<int64_t>{3, 10, -2}));
  for (const std::string text : {"+", "+-3", "-+3", "++3", "0x10", "1_000", "\"+3\""}) {
    EXPECT_NE(ConfigFolder().fault("counts: [" + text + "]\n"), "") << text;
  }
}

TEST(ConfigRead, ReadsListsInBothStyles) {
  const SampleConfig config = ConfigFolder().read(
      "files:\n"
      "  - a b.txt\n"
      "  - \"c,d\"\n"
      "shares: [0, 1, 0.5]\n"
      "counts: [9223372036854775807, -9223372036854775808]\n");
  EXPECT_EQ(config.files, (std::vector<std::string>{"a b.txt", "c,d"}));
  EXPECT_EQ(config.shares, (std::vector<double>{0, 1, 0.5}));
  EXPECT_EQ(config.counts, (std::vector<int64_t>{INT64_MAX, INT64_MIN}));
}

TEST(ConfigRead, EmptyGroupIsNoFault) {
  EXPECT_EQ(ConfigFolder().read("outer:\nshare: 0\n").share, 0);
}

TEST(ConfigRead, ReadsLineEndsAndTheMarkOfWindowsEditors) {
  const SampleConfig config = ConfigFolder().read("\xEF\xBB\xBFshare: 0.5\r\npath: a\r\n");
  EXPECT_EQ(config.share, 0.5);
  EXPECT_EQ(config.path, "a");
}

TEST(ConfigRead, TellsThePlaceOfEachKey) {
  ConfigFolder folder;
  folder.write("base.yaml", "share: 0.5\ndevice: cpu\n");
  const std::string file = folder.write("x.yaml", "base: base.yaml\nouter:\n  inner:\n    rate: 1\nshare: 0.1\n");
  SampleConfig config;
  const ConfigOrigins origins = read_config(config, file, {"path=p"});
  EXPECT_EQ(folder.shorten(origins.place("outer.inner.rate")), "x.yaml:4");
  EXPECT_EQ(folder.shorten(origins.place("share")), "x.yaml:5");
  EXPECT_EQ(folder.shorten(origins.place("device")), "base.yaml:2");
  EXPECT_EQ(origins.place("path"), "override `path=p`");
  EXPECT_EQ(origins.place("outer.flag"), file);
  EXPECT_FALSE(origins.is_set("outer.flag"));
}

TEST(ConfigOverride, TheLastOneWinsOverTheFile) {
  const SampleConfig config =
      ConfigFolder().read("share: 0.1\nfiles: [a]\n", {"share=0.2", "share=0.3", "files=[b, 'c d']"});
  EXPECT_EQ(config.share, 0.3);
  EXPECT_EQ(config.files, (std::vector<std::string>{"b", "c d"}));
}

TEST(ConfigOverride, SetsAGroupKeyByKey) {
  const SampleConfig config = ConfigFolder().read("outer: {flag: true, name: n}\n", {"outer={name: m}"});
  EXPECT_TRUE(config.outer.flag);
  EXPECT_EQ(config.outer.name, "m");
}

TEST(ConfigOverride, AnEmptyValueIsTheEmptyString) {
  EXPECT_EQ(ConfigFolder().read("outer: {name: n}\n", {"outer.name="}).outer.name, "");
}

TEST(ConfigOverride, OnlyTheFirstEqualsSignSplits) {
  EXPECT_EQ(ConfigFolder().read("share: 0\n", {"outer.name=a=b"}).outer.name, "a=b");
}

TEST(ConfigOverride, ATextIsTakenAsTheShellGivesIt) {
  const auto name = [](const std::string& value) {
    return ConfigFolder().read("share: 0\n", {"outer.name=" + value}).outer.name;
  };
  EXPECT_EQ(name("tiny #2"), "tiny #2");
  EXPECT_EQ(name("#7"), "#7");
  EXPECT_EQ(name("a#b"), "a#b");
  EXPECT_EQ(name("Item #1: {question}"), "Item #1: {question}");
  EXPECT_EQ(name("Item 1: {question}"), "Item 1: {question}");
  EXPECT_EQ(name("don't #1"), "don't #1");
  EXPECT_EQ(name("what:"), "what:");
  EXPECT_EQ(name("'a #b'"), "a #b");
  EXPECT_EQ(name("'it''s #1'"), "it's #1");
  EXPECT_EQ(name("\"a\\\" #b\""), "a\" #b");
  EXPECT_EQ(ConfigFolder().read("share: 0\n", {"files=['a #1', \"b #2\", don't]"}).files,
            (std::vector<std::string>{"a #1", "b #2", "don't"}));
  EXPECT_EQ(ConfigFolder().fault("share: 0\n", {"files=[a #1]"}),
            "override `files=[a #1]`: `#` begins a comment (put quotes around the text that holds it)");
  EXPECT_EQ(ConfigFolder().fault("share: 0\n", {"outer.name='a' # b"}),
            "override `outer.name='a' # b`: `#` begins a comment (put quotes around the text that holds it)");
  EXPECT_EQ(ConfigFolder().fault("share: 0\n", {"share=0.5 # half"}),
            "override `share=0.5 # half`: `share`: expected a number from 0 to below 1, found the string `0.5 # half`");
}

TEST(ConfigBase, LaterFilesWinKeyByKeyAndListsAreReplaced) {
  ConfigFolder folder;
  folder.write("deep/a.yaml", "outer: {flag: true, name: a, inner: {rate: 1}}\nfiles: [a, b]\n");
  folder.write("deep/b.yaml", "base: a.yaml\nouter: {name: b, inner: {lora_rank: 2}}\n");
  const SampleConfig config = folder.read("base: deep/b.yaml\nfiles: [c]\nouter: {after: z}\n");
  EXPECT_TRUE(config.outer.flag);
  EXPECT_EQ(config.outer.name, "b");
  EXPECT_EQ(config.outer.after, "z");
  EXPECT_EQ(config.outer.inner, (SampleInner{2, 1.0}));
  EXPECT_EQ(config.files, std::vector<std::string>{"c"});
}

TEST(ConfigBase, ANullTakesTheInheritedValueAway) {
  ConfigFolder folder;
  folder.write("a.yaml", "share: 0.5\nfiles: [a]\ndevice: gpu\nouter: {name: n, flag: true}\n");
  const std::string file =
      folder.write("x.yaml", "base: a.yaml\nshare: null\nfiles: ~\ndevice: null\nouter: {name: null}\n");
  SampleConfig config;
  const ConfigOrigins origins = read_config(config, file, {"outer.flag=null", "files=[b]"});
  SampleConfig expected;
  expected.files = {"b"};
  EXPECT_EQ(config, expected);
  EXPECT_FALSE(origins.is_set("share"));
  EXPECT_EQ(folder.fault("share: 0.5\n", {"share=null", "path=null"}),
            "override `path=null`: `path`: expected a path, found no value");
}

TEST(ConfigBase, LayersAreOrderedFromTheBaseToTheOverrides) {
  ConfigFolder folder;
  folder.write("a.yaml", "share: 0.5\nouter: {inner: {rate: 1}}\n");
  folder.write("b.yaml", "base: a.yaml\npath: p\n");
  const std::string file = folder.write("x.yaml", "base: b.yaml\ndevice: cuda\nouter: {name: n}\n");
  SampleConfig config;
  const ConfigOrigins origins = read_config(config, file, {"files=[a]", "outer={flag: true}", "share=null"});
  EXPECT_EQ(origins.layer("counts"), 0U);
  EXPECT_LT(0U, origins.layer("outer.inner.rate"));
  EXPECT_LT(origins.layer("outer.inner.rate"), origins.layer("path"));
  EXPECT_LT(origins.layer("path"), origins.layer("device"));
  EXPECT_EQ(origins.layer("device"), origins.layer("outer.name"));
  EXPECT_LT(origins.layer("device"), origins.layer("files"));
  EXPECT_EQ(origins.layer("files"), origins.layer("outer.flag"));
  EXPECT_EQ(origins.layer("files"), origins.layer("share"));
}

TEST(ConfigPath, VariablesAreReplacedInPathsOnly) {
  setenv("SHINE_TEST_FOLDER", "/data/x", 1);
  const SampleConfig config = ConfigFolder().read(
      "path: ${SHINE_TEST_FOLDER}/a/${SHINE_TEST_FOLDER}\nouter: {name: '${SHINE_TEST_FOLDER}'}\nfiles: "
      "['${SHINE_TEST_FOLDER}/f', $x]\n");
  EXPECT_EQ(config.path, "/data/x/a//data/x");
  EXPECT_EQ(config.outer.name, "${SHINE_TEST_FOLDER}");
  EXPECT_EQ(config.files, (std::vector<std::string>{"/data/x/f", "$x"}));
}

/// Sets a variable and puts the old value back at the end; none where `value` is null.
class SetVariable {
 public:
  SetVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~SetVariable() { set(before_ ? before_->c_str() : nullptr); }
  SetVariable(const SetVariable&) = delete;
  SetVariable& operator=(const SetVariable&) = delete;

 private:
  void set(const char* value) const {
    if (value == nullptr) {
      unsetenv(name_);
    } else {
      setenv(name_, value, 1);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

TEST(ConfigPath, ATildeIsTheHomeFolder) {
  const SetVariable home("HOME", "/home/me");
  const SampleConfig config = ConfigFolder().read(
      "path: ~/runs/x\nouter: {name: ~/runs}\nfiles: [~/a, '~', a/~/b, ./~, ~no-user-of-this-name/c]\n");
  EXPECT_EQ(config.path, "/home/me/runs/x");
  EXPECT_EQ(config.outer.name, "~/runs");
  EXPECT_EQ(config.files,
            (std::vector<std::string>{"/home/me/a", "/home/me", "a/~/b", "./~", "~no-user-of-this-name/c"}));
  EXPECT_EQ(ConfigFolder().read("share: 0\n", {"path=~/y"}).path, "/home/me/y");
  EXPECT_EQ(ConfigFolder().read("path: ~root/x\n").path, "/root/x");
  ConfigFolder folder;
  const SetVariable other("HOME", folder.path().c_str());
  folder.write("base.yaml", "share: 0.5\n");
  EXPECT_EQ(folder.read("base: ~/base.yaml\n").share, 0.5);
}

TEST(ConfigPath, RelativePathsOfOverridesMayBeginElsewhere) {
  const SetVariable shared("SHINE_SHARED", nullptr), start("SHINE_PATHS_FROM", "/home/mine");
  const auto read = [](const std::string& path) { return ConfigFolder().read("files: [a]\n", {"path=" + path}); };
  EXPECT_EQ(read("a.txt").path, "/home/mine/a.txt");
  EXPECT_EQ(read("../a.txt").path, "/home/mine/../a.txt");
  EXPECT_EQ(read("/a.txt").path, "/a.txt");
  EXPECT_EQ(read("").path, "");
  EXPECT_EQ(read("$SHINE_SHARED/a").path, "../shared/a");
  EXPECT_EQ(read("x").files, std::vector<std::string>{"a"});
  EXPECT_EQ(ConfigFolder().read("share: 0\n", {"files=[a, /b]", "outer.name=c"}).files,
            (std::vector<std::string>{"/home/mine/a", "/b"}));
  EXPECT_EQ(ConfigFolder().read("share: 0\n", {"outer.name=c"}).outer.name, "c");
}

TEST(ConfigPath, SharedFolderHasADefault) {
  const char* set = std::getenv("SHINE_SHARED");
  const std::string before = set == nullptr ? "" : set;
  unsetenv("SHINE_SHARED");
  const SampleConfig config =
      ConfigFolder().read("path: $SHINE_SHARED/a\nfiles: ['${SHINE_SHARED}/b', $SHINE_SHAREDX]\n");
  EXPECT_EQ(config.path, "../shared/a");
  EXPECT_EQ(config.files, (std::vector<std::string>{"../shared/b", "$SHINE_SHAREDX"}));
  setenv("SHINE_SHARED", "/s", 1);
  EXPECT_EQ(ConfigFolder().read("path: $SHINE_SHARED\n").path, "/s");
  if (set == nullptr) {
    unsetenv("SHINE_SHARED");
  } else {
    setenv("SHINE_SHARED", before.c_str(), 1);
  }
}

TEST(ConfigWrite, ReadsBackToTheSame) {
  ConfigFolder folder;
  SampleConfig config;
  config.outer.colour = Colour::automatic;
  config.outer.inner = {INT64_MAX, 0.1 + 0.2};
  config.shares = {1e-300, 1.0 / 3.0, 1};
  config.counts = {-1, 0};
  config.files = {"a: b", "- c", "#d", "e,f]", "a~", "null", "...", "'", "\"\\", "\xC3\xA9 \xF0\x9F\x98\x80", " g "};
  for (const std::string name : {"",
                                 "null",
                                 "Null",
                                 "~",
                                 "true",
                                 "1",
                                 "-",
                                 "a\nb\n",
                                 "\t",
                                 "\r\n",
                                 "\x7F",
                                 "---",
                                 "line\xE2\x80\xA8separator",
                                 "\xC2\x85",
                                 "%a",
                                 "@",
                                 "a #b",
                                 "*x",
                                 "&x",
                                 "!x",
                                 "${"}) {
    config.outer.name = name;
    const std::string yaml = config_yaml(config);
    EXPECT_EQ(folder.read(yaml), config) << yaml;
  }
}

TEST(ConfigWrite, AnyReaderOfYamlTakesAWordForAText) {
  for (const std::string word : {"no", "Yes", "ON", "off", "y", "N", "true", "False", "NULL", "010", "1e5", "0x1F",
                                 ".5", ".inf", ".NaN", "12", "2001-12-14", "1_000"}) {
    SampleConfig config;
    config.outer.name = word;
    config.files = {word};
    const std::string yaml = config_yaml(config);
    EXPECT_NE(yaml.find("  name: \"" + word + "\"\n"), std::string::npos) << yaml;
    EXPECT_NE(yaml.find("files: [\"" + word + "\"]\n"), std::string::npos) << yaml;
    EXPECT_EQ(ConfigFolder().read(yaml), config);
  }
  SampleConfig config;
  config.outer.name = "nobody";
  config.outer.inner.rate = 1.5e-7;
  config.path = "../x.txt";
  const std::string yaml = config_yaml(config);
  EXPECT_NE(yaml.find("  name: nobody\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("    rate: 1.5e-07\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("path: ../x.txt\n"), std::string::npos) << yaml;
}

TEST(ConfigWrite, GroupsAreNested) {
  SampleConfig config;
  config.files = {"a", "b c"};
  EXPECT_EQ(config_yaml(config),
            "outer:\n"
            "  colour: red\n"
            "  flag: false\n"
            "  inner:\n"
            "    lora_rank: 8\n"
            "    rate: 5.0e-05\n"
            "  name: \"\"\n"
            "  after: x\n"
            "files: [a, \"b c\"]\n"
            "shares: [0.5]\n"
            "counts: []\n"
            "share: 0.25\n"
            "device: cpu\n"
            "path: \"\"\n");
}

TEST(ConfigWrite, SkippedKeysLeaveNoEmptyGroup) {
  SampleOuter config;
  EXPECT_EQ(fields_yaml(fields_of(config), {"inner.lora_rank", "inner.rate", "flag", "name"}),
            "colour: red\nafter: x\n");
}

TEST(ConfigCompare, ListsKeysThatDiffer) {
  SampleConfig a;
  SampleConfig b;
  EXPECT_TRUE(compare_configs(a, b).empty());
  b.outer.inner.rate = 1e-4;
  b.files = {"f"};
  EXPECT_EQ(compare_configs(a, b), (std::vector<std::string>{"outer.inner.rate: 5e-05 -> 1e-04", "files: [] -> [f]"}));
}

TEST(ConfigHelp, ListsGroupsKeysDefaultsTypesAndLimits) {
  const std::string help = config_help<SampleOuter>();
  EXPECT_NE(help.find("inner: the inner group\n  lora_rank = 8                             the rank (integer, at least "
                      "1)\n"),
            std::string::npos)
      << help;
  EXPECT_NE(help.find("  colour = red                              the colour (red | auto)\n"), std::string::npos);
}

TEST(ConfigHelp, OfAGroupOrAKeyAlone) {
  const std::string inner =
      "outer.inner: the inner group\n"
      "  lora_rank = 8                             the rank (integer, at least 1)\n"
      "  rate = 5e-05                              the rate (number, above 0)\n";
  EXPECT_EQ(config_help<SampleConfig>("outer.inner"), inner);
  const std::string rate = "outer.inner: the inner group\n" + inner.substr(inner.find("  rate"));
  EXPECT_EQ(config_help<SampleConfig>("outer.inner.rate"), rate);
  EXPECT_EQ(config_help<SampleConfig>("rate"), rate);
  const std::string outer = config_help<SampleConfig>("outer");
  EXPECT_TRUE(outer.starts_with("outer: the outer group\n  colour = red")) << outer;
  EXPECT_NE(outer.find(inner), std::string::npos) << outer;
  EXPECT_EQ(outer.find("shares"), std::string::npos);
  EXPECT_EQ(fault_of<ConfigError>([] { config_help<SampleConfig>("lora_rnak"); }),
            "no group and no key is called `lora_rnak`: did you mean `lora_rank`? (the groups are outer)");
  EXPECT_EQ(fault_of<ConfigError>([] { config_help<SampleConfig>("zzzz"); }),
            "no group and no key is called `zzzz` (the groups are outer)");
}

TEST(ConfigDevice, NamesAreStrict) {
  for (const char* good : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"}) EXPECT_TRUE(is_device_name(good)) << good;
  for (const char* bad : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda0", "cuda:1234", "CPU"}) {
    EXPECT_FALSE(is_device_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace shine::test
