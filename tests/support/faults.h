#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace shine::test {

/// The message of the fault of one kind that `action` throws; empty where it throws none.
template <class Kind, class Action>
std::string fault_of(Action&& action) {
  try {
    action();
  } catch (const Kind& fault) {
    return fault.what();
  }
  return "";
}

/// Runs `action` and expects a fault of one kind whose message holds `part`.
template <class Kind, class Action>
void expect_fault(std::string_view part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no fault; expected one with \"" << part << "\"";
  } catch (const Kind& fault) {
    EXPECT_NE(std::string_view(fault.what()).find(part), std::string_view::npos)
        << "expected \"" << part << "\" in: " << fault.what();
  }
}

}  // namespace shine::test
