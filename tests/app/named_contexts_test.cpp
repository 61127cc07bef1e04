#include "app/adapt/named_contexts.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {
namespace {

class NamedContexts : public testing::Test {
 protected:
  std::vector<IdentifiedContext> read(const std::string& text) const {
    return read_identified_contexts(folder_.write("x.jsonl", text));
  }
  template <class Kind>
  std::string fault(const std::string& text) const {
    return folder_.shorten(fault_of<Kind>([&] { read(text); }));
  }
  std::string fault_of_id(const std::string& id) const {
    return fault<ConfigError>(R"({"id": ")" + id + R"(", "context": "a"})");
  }

  TemporaryFolder folder_;
};

TEST_F(NamedContexts, ReadsLinesAndFilesOfQuestions) {
  const auto contexts = read(
      "{\"id\": \"a-1\", \"context\": \"A bell.\"}\n\n"
      "{\"id\": \"B_2.x\", \"source\": \"s\", \"context\": \"A rope.\", \"questions\": []}\n");
  ASSERT_EQ(contexts.size(), 2U);
  EXPECT_EQ(contexts[0].id, "a-1");
  EXPECT_EQ(contexts[1].text, "A rope.");
  EXPECT_EQ(folder_.shorten(contexts[1].where), "x.jsonl:3");
}

TEST_F(NamedContexts, AnIdIsAPlainFileName) {
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"), std::string("a/b"),
        std::string("../a"), std::string("a\\\\b"), std::string("a b"), std::string("a\\u0000"),
        std::string("\xC3\xA4"), std::string("lock"), std::string(201, 'a')}) {
    EXPECT_NE(fault_of_id(id).find("is no plain file name"), std::string::npos) << id;
  }
  EXPECT_EQ(fault_of_id(std::string(200, 'a')), "");
}

TEST_F(NamedContexts, RefusesWhatCannotBeExported) {
  EXPECT_EQ(fault<ConfigError>("{\"id\": \"a\", \"context\": \"x\"}\n{\"id\": \"a\", \"context\": \"y\"}\n"),
            "x.jsonl:2: id \"a\" stands in x.jsonl:1 too (rename one)");
  EXPECT_NE(fault<ConfigError>("\n").find("x.jsonl: no context"), std::string::npos);
  EXPECT_NE(fault<FormatError>("{\"id\": \"a\"}").find("context"), std::string::npos);
  EXPECT_NE(fault<FormatError>("{\"id\": 1, \"context\": \"x\"}").find("x.jsonl:1"), std::string::npos);
  EXPECT_NE(fault<FormatError>("[]").find("x.jsonl:1"), std::string::npos);
}

}  // namespace
}  // namespace shine::test
