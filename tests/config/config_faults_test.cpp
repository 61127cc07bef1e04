#include <gtest/gtest.h>

#include "config/sample_config.h"

namespace shine::test {
namespace {

struct FaultCase {
  std::string yaml;
  std::string message;
};

void PrintTo(const FaultCase& value, std::ostream* out) {
  *out << value.message;
}

class ConfigFault : public testing::TestWithParam<FaultCase> {};

TEST_P(ConfigFault, IsOneLineWithThePlace) {
  EXPECT_EQ(ConfigFolder().fault(GetParam().yaml), GetParam().message) << GetParam().yaml;
}

INSTANTIATE_TEST_SUITE_P(
    UnknownKey, ConfigFault,
    testing::Values(FaultCase{"share: 0\nouter:\n  inner:\n    lora_rnak: 4\n",
                              "x.yaml:4: unknown key `lora_rnak`: did you mean `lora_rank`?"},
                    FaultCase{"outr: {flag: true}\n", "x.yaml:1: unknown key `outr`: did you mean `outer`?"},
                    FaultCase{"outer:\n  rate: 1\n",
                              "x.yaml:2: unknown key `rate` in group `outer`: did you mean `outer.inner.rate`?"},
                    FaultCase{"flag: 1\n", "x.yaml:1: unknown key `flag` at the top level: did you mean `outer.flag`?"},
                    FaultCase{"inner: {}\n",
                              "x.yaml:1: unknown key `inner` at the top level: did you mean `outer.inner`?"},
                    FaultCase{"outer.flag: true\n", "x.yaml:1: unknown key `outer.flag`: write `flag` below `outer:`"},
                    FaultCase{"outer: {inner: {zzz: 1}}\n",
                              "x.yaml:1: unknown key `zzz`: the keys of `outer.inner` are lora_rank, rate"},
                    FaultCase{"zzz: 1\n",
                              "x.yaml:1: unknown key `zzz`: the keys are outer, files, shares, counts, share, device, "
                              "path"},
                    FaultCase{"<<: {share: 0}\n",
                              "x.yaml:1: unknown key `<<`: the keys are outer, files, shares, counts, share, "
                              "device, path"}));

INSTANTIATE_TEST_SUITE_P(
    WrongType, ConfigFault,
    testing::Values(
        FaultCase{"share: fast\n", "x.yaml:1: `share`: expected a number from 0 to below 1, found `fast`"},
        FaultCase{"share: '0.5'\n", "x.yaml:1: `share`: expected a number from 0 to below 1, found the string `0.5`"},
        FaultCase{"share: .nan\n", "x.yaml:1: `share`: expected a number from 0 to below 1, found `.nan`"},
        FaultCase{"share: nan\n", "x.yaml:1: `share`: expected a number from 0 to below 1, found `nan`"},
        FaultCase{"outer: {inner: {rate: 1e999}}\n",
                  "x.yaml:1: `outer.inner.rate`: expected a number above 0, found `1e999`"},
        FaultCase{"outer: {inner: {rate: inf}}\n",
                  "x.yaml:1: `outer.inner.rate`: expected a number above 0, found `inf`"},
        FaultCase{"counts: [1, 2.0]\n", "x.yaml:1: `counts[1]`: expected an integer, found `2.0`"},
        FaultCase{"counts: [9223372036854775808]\n",
                  "x.yaml:1: `counts[0]`: expected an integer, found `9223372036854775808`"},
        FaultCase{"counts: 3\n", "x.yaml:1: `counts`: expected a list of integers ([a, b]), found `3`"},
        FaultCase{"outer:\n  flag: yes\n", "x.yaml:2: `outer.flag`: expected true or false, found `yes`"},
        FaultCase{"outer:\n  flag: 1\n", "x.yaml:2: `outer.flag`: expected true or false, found `1`"},
        FaultCase{"outer: {colour: blue}\n", "x.yaml:1: `outer.colour`: expected one of red, auto, found `blue`"},
        FaultCase{"outer: {colour: [red]}\n", "x.yaml:1: `outer.colour`: expected one of red, auto, found a list"},
        FaultCase{"outer: {name: {a: 1}}\n", "x.yaml:1: `outer.name`: expected a string, found a group of keys"},
        FaultCase{"outer:\n  name:\n", "x.yaml:2: `outer.name`: expected a string, found no value"},
        FaultCase{"files: a.txt\n", "x.yaml:1: `files`: expected a list of paths ([a, b]), found `a.txt`"},
        FaultCase{"files: [a, '']\n", "x.yaml:1: `files[1]`: expected a path, found the string ``"},
        FaultCase{"outer: 3\n", "x.yaml:1: `outer` is a group: expected keys below it, found `3`"},
        FaultCase{"outer: [1]\n", "x.yaml:1: `outer` is a group: expected keys below it, found a list"},
        FaultCase{"path: \"a\\0b\"\n", "x.yaml:1: `path`: expected a path, found the string `a\\x00b`"}));

INSTANTIATE_TEST_SUITE_P(
    OutOfRange, ConfigFault,
    testing::Values(
        FaultCase{"outer: {inner: {lora_rank: 0}}\n",
                  "x.yaml:1: `outer.inner.lora_rank`: expected an integer at least 1, found `0`"},
        FaultCase{"outer: {inner: {rate: 0}}\n", "x.yaml:1: `outer.inner.rate`: expected a number above 0, found `0`"},
        FaultCase{"share: 1\n", "x.yaml:1: `share`: expected a number from 0 to below 1, found `1`"},
        FaultCase{"shares: [1, 1.5]\n", "x.yaml:1: `shares[1]`: expected a number from 0 to 1, found `1.5`"},
        FaultCase{"device: gpu\n", "x.yaml:1: `device`: expected cpu or cuda, found `gpu`"}));

INSTANTIATE_TEST_SUITE_P(
    Path, ConfigFault,
    testing::Values(FaultCase{"path: a/${SHINE_UNSET_VARIABLE}\n",
                              "x.yaml:1: `path`: environment variable `SHINE_UNSET_VARIABLE` is not set"},
                    FaultCase{"path: a/${b\n", "x.yaml:1: `path`: `${` without `}` in `a/${b`"},
                    FaultCase{"path: ${}\n", "x.yaml:1: `path`: `${}` does not name an environment variable"},
                    FaultCase{"path: ${a-b}\n", "x.yaml:1: `path`: `${a-b}` does not name an environment variable"}));

INSTANTIATE_TEST_SUITE_P(
    Form, ConfigFault,
    testing::Values(
        FaultCase{"share: 0\npath: a\nshare: 0.5\n", "x.yaml:3: duplicate key `share`, first set at x.yaml:1"},
        FaultCase{"outer: {flag: true, flag: true}\n", "x.yaml:1: duplicate key `flag`, first set at x.yaml:1"},
        FaultCase{"outer:\n\tflag: true\n", "x.yaml:2: tab in the indentation (use spaces)"},
        FaultCase{"outer:\n  \tflag: true\n", "x.yaml:2: tab in the indentation (use spaces)"},
        FaultCase{"share: &x 0\n",
                  "x.yaml:1: anchors and aliases are not supported (write the value out, or use `base`)"},
        FaultCase{"path: *x\n", "x.yaml:1: not YAML: the referenced anchor is not defined"},
        FaultCase{"share: !!float 0\n", "x.yaml:1: tags are not supported, found `tag:yaml.org,2002:float`"},
        FaultCase{"? [a]\n: 1\n", "x.yaml:1: expected a name as key"},
        FaultCase{"~: 1\n", "x.yaml:1: expected a name as key"},
        FaultCase{"- share\n", "x.yaml:1: expected keys (`key: value`) at the top level"},
        FaultCase{"\nshare\n", "x.yaml:2: expected keys (`key: value`) at the top level"},
        FaultCase{"", "x.yaml: holds no keys"}, FaultCase{"# nothing\n", "x.yaml: holds no keys"},
        FaultCase{"share: 0\n---\nshare: 0\n", "x.yaml:2: text after the end of the only document"},
        FaultCase{"share: 0\n...\npath: a\n", "x.yaml:3: text after the end of the only document"},
        FaultCase{",>!*==1\n", "x.yaml:1: text after the end of the only document"},
        FaultCase{"share: [0\n", "x.yaml:1: not YAML: end of sequence flow not found"},
        FaultCase{"outer:\n  flag: true\n name: x\n", "x.yaml:3: not YAML: end of map not found"},
        FaultCase{"share: 0\npath: \"a\n", "x.yaml:2: not YAML: illegal EOF in scalar"},
        FaultCase{"share: 0\npath: \xFF\n", "x.yaml:2: a byte that is not UTF-8"},
        FaultCase{std::string("share: 0\npath: a\0\n", 18), "x.yaml:2: control character of code 0"}));

TEST(ConfigFaults, AreListedAllAtOnce) {
  EXPECT_EQ(ConfigFolder().fault("outer:\n  flg: true\n  inner: {lora_rank: 0, rate: x}\nshare: 2\nshare: 3\n",
                                 {"device=gpu", "x", "counts=[a]"}),
            "8 faults in x.yaml:\n"
            "  x.yaml:5: duplicate key `share`, first set at x.yaml:4\n"
            "  override `x`: expected `key.path=value`\n"
            "  x.yaml:2: unknown key `flg`: did you mean `flag`?\n"
            "  x.yaml:3: `outer.inner.lora_rank`: expected an integer at least 1, found `0`\n"
            "  x.yaml:3: `outer.inner.rate`: expected a number above 0, found `x`\n"
            "  x.yaml:4: `share`: expected a number from 0 to below 1, found `2`\n"
            "  override `device=gpu`: `device`: expected cpu or cuda, found `gpu`\n"
            "  override `counts=[a]`: `counts[0]`: expected an integer, found `a`");
}

TEST(ConfigFaults, OverridesAreNamedAsThePlace) {
  const ConfigFolder folder;
  const auto fault = [&](const std::string& text) { return folder.fault("share: 0\n", {text}); };
  EXPECT_EQ(fault("outer.flga=true"), "override `outer.flga=true`: unknown key `flga`: did you mean `flag`?");
  EXPECT_EQ(fault("share=0.5.5"),
            "override `share=0.5.5`: `share`: expected a number from 0 to below 1, found `0.5.5`");
  EXPECT_EQ(fault("share="), "override `share=`: `share`: expected a number from 0 to below 1, found the string ``");
  EXPECT_EQ(fault("=1"), "override `=1`: expected `key.path=value`");
  EXPECT_EQ(fault("a..b=1"), "override `a..b=1`: expected `key.path=value`");
  EXPECT_EQ(fault(".=1"), "override `.=1`: expected `key.path=value`");
  EXPECT_EQ(fault("files=[a"), "override `files=[a`: not YAML: end of sequence flow not found");
  EXPECT_EQ(fault("outer={flag: true, flag: true}"),
            "override `outer={flag: true, flag: true}`: duplicate key `flag`, first set at override `outer={flag: "
            "true, flag: true}`");
}

TEST(ConfigFaults, AVariableInAListIsToBeQuoted) {
  const ConfigFolder folder;
  EXPECT_EQ(
      folder.fault("share: 0\n", {"files=[${SHINE_SHARED}/x.txt]"}),
      "override `files=[${SHINE_SHARED}/x.txt]`: not YAML: end of sequence flow not found (quote a value with ${..} "
      "inside [..]: data.train='[\"${SHINE_SHARED}/x.txt\"]')");
  EXPECT_EQ(folder.fault("share: 0\nfiles: ['a', ${SHINE_SHARED}/x.txt]\n"),
            "x.yaml:2: not YAML: end of sequence flow not found (quote a value with ${..} inside [..]: "
            "[\"${SHINE_SHARED}/x.txt\"])");
  EXPECT_EQ(folder.fault("path: ${A}\nfiles: [\"${A}\", b\n"), "x.yaml:2: not YAML: end of sequence flow not found");
}

TEST(ConfigFaults, ABrokenKeyIsMarked) {
  ConfigFolder folder;
  SampleConfig config;
  Faults faults;
  const std::string file = folder.write("x.yaml", "outer:\n  flga: true\n  inner: 3\nshare: 7\n");
  const ConfigOrigins origins = read_fields(fields_of(config), file, {}, faults);
  EXPECT_EQ(origins.broken,
            (std::set<std::string>{"outer.flag", "outer.inner.lora_rank", "outer.inner.rate", "share"}));
  EXPECT_EQ(config, SampleConfig{});
}

TEST(ConfigFaults, LongTextsAreCutAndKeptOnOneLine) {
  const std::string message = ConfigFolder().fault("share: \"" + std::string(500, 'a') + "\\n\"\n");
  EXPECT_EQ(message, "x.yaml:1: `share`: expected a number from 0 to below 1, found the string `" +
                         std::string(80, 'a') + "..`");
  EXPECT_EQ(ConfigFolder().fault("\"a\\nb\": 1\nshare: 0\n").find('\n'), std::string::npos);
}

}  // namespace
}  // namespace shine::test
