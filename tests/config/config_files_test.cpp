#include <gtest/gtest.h>

#include "config/sample_config.h"

namespace shine::test {
namespace {

TEST(ConfigFile, MissingFileIsAnIoError) {
  const ConfigFolder folder;
  SampleConfig config;
  const std::string file = (folder.path() / "none.yaml").string();
  try {
    read_config(config, file);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(folder.shorten(error.what()), "none.yaml: no such file");
  }
}

TEST(ConfigFile, AFolderIsAnIoError) {
  const ConfigFolder folder;
  SampleConfig config;
  EXPECT_THROW(read_config(config, folder.path()), IoError);
}

TEST(ConfigFile, LargerThanOneMebibyteIsRefused) {
  const std::string comment = "share: 0\n#" + std::string((1U << 20U) - 10, 'x');
  EXPECT_EQ(ConfigFolder().fault(comment), "");
  EXPECT_EQ(ConfigFolder().fault(comment + "x"), "x.yaml: larger than 1 MiB, not a config");
}

TEST(ConfigFile, AnEndlessFileIsRefused) {
  SampleConfig config;
  EXPECT_THROW(read_config(config, "/dev/zero"), ConfigError);
}

TEST(ConfigFile, DeepNestingIsRefused) {
  EXPECT_EQ(ConfigFolder().fault("share: " + std::string(1000000, '[')), "x.yaml:1: nested deeper than 16 levels");
  EXPECT_EQ(ConfigFolder().fault("share: " + std::string(16, '[') + "0" + std::string(16, ']')),
            "x.yaml:1: nested deeper than 16 levels");
  EXPECT_EQ(ConfigFolder().fault("share: " + std::string(15, '[') + "0" + std::string(15, ']')),
            "x.yaml:1: `share`: expected a number from 0 to below 1, found a list");
}

TEST(ConfigFile, TooManyValuesAreRefused) {
  std::string text = "counts: [0";
  for (int i = 0; i < 20000; ++i) text += ",\n 0";
  EXPECT_EQ(ConfigFolder().fault(text + "]\n"), "x.yaml:10001: more than 10000 values");
}

TEST(ConfigFile, AnAliasBombIsRefused) {
  const std::string message = ConfigFolder().fault("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n");
  EXPECT_NE(message.find("x.yaml:4: anchors and aliases are not supported"), std::string::npos) << message;
}

TEST(ConfigBase, MissingFileNamesTheKeysPlace) {
  const ConfigFolder folder;
  EXPECT_EQ(folder.fault("share: 0\nbase: none.yaml\n"), "x.yaml:2: base file `none.yaml`: No such file or directory");
}

TEST(ConfigBase, CyclesAreDetected) {
  const ConfigFolder folder;
  EXPECT_EQ(folder.fault("base: x.yaml\n"), "x.yaml:1: base file `x.yaml` inherits from this file: a cycle");
  folder.write("y.yaml", "share: 0\nbase: ./x.yaml\n");
  EXPECT_EQ(folder.fault("base: y.yaml\n"), "y.yaml:2: base file `x.yaml` inherits from this file: a cycle");
}

TEST(ConfigBase, ChainsAreBounded) {
  const ConfigFolder folder;
  folder.write("c9.yaml", "share: 0\n");
  for (int i = 8; i > 0; --i) {
    folder.write(str("c", i, ".yaml"), str("base: c", i + 1, ".yaml\n"));
  }
  EXPECT_EQ(folder.fault("base: c3.yaml\n"), "");
  EXPECT_EQ(folder.fault("base: c2.yaml\n"), "c8.yaml:1: more than 8 files inherit from each other");
}

TEST(ConfigBase, FaultsOfTheBaseNameTheBase) {
  const ConfigFolder folder;
  folder.write("b.yaml", "device: cpu\nshare: 5\n");
  EXPECT_EQ(folder.fault("base: b.yaml\n"), "b.yaml:2: `share`: expected a number from 0 to below 1, found `5`");
  EXPECT_EQ(folder.fault("base: b.yaml\nshare: 0\n"), "");
}

TEST(ConfigBase, IsAPathAndOnlyInAFile) {
  const ConfigFolder folder;
  EXPECT_EQ(folder.fault("base: [a]\n"), "x.yaml:1: `base`: expected the path of another config");
  EXPECT_EQ(folder.fault("base: ${SHINE_UNSET_VARIABLE}\n"),
            "x.yaml:1: `base`: environment variable `SHINE_UNSET_VARIABLE` is not set");
  EXPECT_EQ(folder.fault("share: 0\n", {"base=b.yaml"}),
            "override `base=b.yaml`: unknown key `base`: the keys are outer, files, shares, counts, share, device, "
            "path");
}

}  // namespace
}  // namespace shine::test
