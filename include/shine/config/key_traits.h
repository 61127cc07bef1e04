#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shine {

/// A condition on the value of another key.
struct KeyCondition {
  std::string key;                  ///< "data.form"; without a dot it is a key of the same group: "clip"
  std::vector<std::string> values;  ///< as in a config file
  bool negated = false;             ///< none of them
};

/// A key has no effect where all conditions hold. A condition on a key that itself has no effect never holds.
struct UnusedRule {
  std::vector<KeyCondition> conditions;
  std::string reason;        ///< completes "`stage.adapter_reg` has no effect ..": "without couple layers"
  bool names_value = false;  ///< append the value of the first condition's key to the reason
};

/// With any of the values; the reason is "with KEY VALUE".
inline UnusedRule unused_with(const std::string& key, std::vector<std::string> values) {
  return {{{key, std::move(values)}}, "with " + key, /*names_value=*/true};
}
/// With any other value; the same reason.
inline UnusedRule only_with(const std::string& key, std::vector<std::string> values) {
  return {{{key, std::move(values), /*negated=*/true}}, "with " + key, /*names_value=*/true};
}

/// Which programs read a key.
enum class ReadBy { all, training, tests };
inline constexpr ReadBy kTrainingOnly = ReadBy::training;
inline constexpr ReadBy kTestsOnly = ReadBy::tests;

/// What a resumed training run does about another value.
enum class ResumeRule { refuse, refuse_if_deterministic, accept };
/// No number depends on the key, or another check covers it.
inline constexpr ResumeRule kMayChange = ResumeRule::accept;
/// The same numbers but for rounding.
inline constexpr ResumeRule kChangesLastBits = ResumeRule::refuse_if_deterministic;

/// What a resumed test does about another value.
enum class AnswerRule { refuse, accept };
inline constexpr AnswerRule kShapesNoAnswer = AnswerRule::accept;

/// The key's full name in earlier versions. In a configuration that a program saved it is read; in a user's file or
/// command it is read with a warning that tells the present name, or where it is `refused`, a fault.
struct FormerName {
  std::string path;
  bool refused = false;
};

/// What a key declares beside type, meaning and constraint. A group's traits hold for all its keys, which may override
/// them.
struct KeyTraits {
  std::vector<UnusedRule> unused;  ///< the first that holds gives the reason; a key's own come before its group's
  ReadBy read_by = ReadBy::all;
  ResumeRule resume = ResumeRule::refuse;
  AnswerRule answers = AnswerRule::refuse;
  FormerName former;

  /// Must the value be the same at a resume?
  bool fixed_in_run(bool deterministic) const {
    if (read_by == ReadBy::tests || resume == ResumeRule::accept) return false;
    return resume == ResumeRule::refuse || deterministic;
  }
  /// Must the value be the same when a test is resumed?
  bool fixed_in_test() const { return read_by != ReadBy::training && answers == AnswerRule::refuse; }
};

}  // namespace shine
