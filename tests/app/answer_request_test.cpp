#include "app/generate/answer_request.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "support/faults.h"

namespace shine::test {
namespace {

using Methods = std::vector<Method>;

std::string fault(const AnswerRequest& request) {
  return fault_of<ConfigError>([&] { check_request(request); });
}

AnswerRequest asking(Methods methods) {
  AnswerRequest request;
  request.methods = std::move(methods);
  request.questions = {"who?"};
  return request;
}

TEST(AnswerRequestTest, MethodsAreNamesWithCommasOrSpaces) {
  EXPECT_EQ(parse_methods("shine,naive, in_context shine"),
            (Methods{Method::shine, Method::naive, Method::in_context}));
  EXPECT_EQ(parse_methods("shuffled"), Methods{Method::shuffled});
  expect_fault<ConfigError>("method sft: expected naive, in_context, shine or shuffled", [] { parse_methods("sft"); });
  expect_fault<ConfigError>("method shin: expected", [] { parse_methods("naive,shin"); });
  expect_fault<ConfigError>("name at least one method", [] { parse_methods(" , "); });
}

TEST(AnswerRequestTest, AMethodNeedsWhatItKnowsTheContextBy) {
  AnswerRequest request = asking({Method::naive, Method::in_context, Method::shine, Method::shuffled});
  EXPECT_EQ(fault(request), "command line: method shuffled needs --other-context (see shine_generate --help)");
  request.other_context = "b.txt";
  EXPECT_EQ(fault(request), "command line: method in_context needs --context (see shine_generate --help)");
  request.context = "a.txt";
  EXPECT_EQ(fault(request), "");
  EXPECT_EQ(fault(asking({Method::shine})),
            "command line: method shine needs --context or --adapter (see shine_generate --help)");
  EXPECT_EQ(fault(asking({Method::naive})), "");
  request.questions.clear();
  EXPECT_EQ(fault(request), "command line: there is nothing to ask (give --question or --chat)");
}

TEST(AnswerRequestTest, AnOptionWithoutEffectIsRefused) {
  const auto expect = [](const std::string& part, auto change) {
    AnswerRequest request = asking({Method::naive});
    change(request);
    EXPECT_EQ(fault(request), "command line: " + part + " (remove it)");
  };
  expect("--other-context has no effect without method shuffled", [](auto& r) { r.other_context = "b.txt"; });
  expect("--any-backbone has no effect without --adapter", [](auto& r) { r.any_backbone = true; });
  expect("--adapter has no effect without method shine", [](auto& r) { r.adapters = {"a"}; });
  expect("--context has no effect without method in_context, or shine without --adapter",
         [](auto& r) { r.context = "a.txt"; });
  expect("--checkpoint has no effect without a LoRA to generate", [](auto& r) { r.checkpoint = "run"; });
  expect("--over-long has no effect without a LoRA to generate", [](auto& r) { r.over_long = true; });
  expect("--checkpoint has no effect without a LoRA to generate", [](auto& r) {
    r.methods = {Method::shine};
    r.adapters = {"a"};
    r.checkpoint = "run";
  });
}

TEST(AnswerRequestTest, AChatCanBeGivenAllLater) {
  AnswerRequest request;
  request.chat = true;
  EXPECT_EQ(fault(request), "");
  request.any_backbone = request.over_long = true;
  request.checkpoint = "run";
  EXPECT_EQ(fault(request), "");
  request.context = "-";
  EXPECT_EQ(fault(request),
            "command line: --context - and --chat both read standard input (give the context as a file)");
}

TEST(AnswerRequestTest, WeightsAreNeededWhereALoraIsGenerated) {
  EXPECT_TRUE(needs_weights(asking({Method::naive, Method::shine})));
  EXPECT_TRUE(needs_weights(asking({Method::shuffled})));
  EXPECT_FALSE(needs_weights(asking({Method::naive, Method::in_context})));
  AnswerRequest request = asking({Method::shine});
  request.adapters = {"a"};
  EXPECT_FALSE(needs_weights(request));
  request.chat = true;
  EXPECT_FALSE(needs_weights(request));
  request.checkpoint = "run";
  EXPECT_TRUE(needs_weights(request)) << "for /context";
}

}  // namespace
}  // namespace shine::test
