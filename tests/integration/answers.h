#pragma once

#include <gtest/gtest.h>

#include <string>

#include "integration/run_program.h"

namespace shine::test {

/// --help and --version succeed on standard output; a wrong option and no argument fail with a word on standard error.
inline void expect_usual_answers(const std::string& program) {
  SCOPED_TRACE(program);
  const Outcome help = run_program(program, {"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("--version"), std::string::npos) << help.out;
  EXPECT_EQ(help.err, "");
  const Outcome version = run_program(program, {"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out.find(program + " 0."), 0U) << version.out;
  const Outcome wrong = run_program(program, {"--no-such-option"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_LT(wrong.status, 128) << "killed by a signal";
  EXPECT_NE(wrong.err, "");
  const Outcome nothing = run_program(program, {});
  EXPECT_NE(nothing.status, 0);
  EXPECT_LT(nothing.status, 128) << "killed by a signal";
  EXPECT_NE(nothing.err, "");
}

}  // namespace shine::test
