// The programs without LibTorch answer as every program should.
#include <gtest/gtest.h>

#include "integration/answers.h"

namespace shine::test {
namespace {

TEST(TextPrograms, AnswerHelpVersionAndWrongOptions) {
  for (const char* program : {"shine_tokenize", "shine_prepare"}) expect_usual_answers(program);
}

}  // namespace
}  // namespace shine::test
