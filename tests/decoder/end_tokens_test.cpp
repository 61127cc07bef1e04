#include "decoder/end_tokens.h"

#include <gtest/gtest.h>

#include <fstream>

#include "shine/common/error.h"
#include "support/paths.h"

namespace shine::test {
namespace {

using Ids = std::vector<std::int64_t>;

class EndTokens : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_.path() / name) << text; }
  Ids read() const { return read_end_tokens(folder_.path() / "config.json"); }

  std::string message() const {
    try {
      read();
    } catch (const FormatError& fault) {
      return fault.what();
    }
    return {};
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(EndTokens, AreAllOfGenerationConfig) {
  write("config.json", R"({"eos_token_id": 1})");
  write("generation_config.json", R"({"eos_token_id": [319, 317, 319]})");
  EXPECT_EQ(read(), (Ids{319, 317}));
  write("generation_config.json", R"({"eos_token_id": 5})");
  EXPECT_EQ(read(), (Ids{5}));
}

TEST_F(EndTokens, OfConfigCountOnlyWithoutGenerationConfig) {
  write("config.json", R"({"eos_token_id": [2, 3]})");
  EXPECT_EQ(read(), (Ids{2, 3}));
  write("generation_config.json", R"({"temperature": 1.0})");
  EXPECT_EQ(read(), Ids{});
}

TEST_F(EndTokens, MayBeNone) {
  for (const char* text : {"{}", R"({"eos_token_id": null})", R"({"eos_token_id": []})", R"({"eos_token_id": -1})"}) {
    write("config.json", text);
    EXPECT_EQ(read(), Ids{}) << text;
  }
}

TEST_F(EndTokens, FaultsNameFileAndKey) {
  write("config.json", "{}");
  for (const char* text : {R"({"eos_token_id": "<|im_end|>"})", R"({"eos_token_id": [1, 2.5]})",
                           R"({"eos_token_id": [[1]]})", R"({"eos_token_id": true})"}) {
    write("generation_config.json", text);
    EXPECT_NE(message().find("generation_config.json: eos_token_id: expected a token id or several"), std::string::npos)
        << message();
  }
  write("generation_config.json", "[1]");
  EXPECT_NE(message().find("generation_config.json"), std::string::npos) << message();
}

}  // namespace
}  // namespace shine::test
