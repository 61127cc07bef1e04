#include <algorithm>
#include <optional>

#include "config/config_io.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

class Rules {
 public:
  explicit Rules(const FieldList& list) : list_(list) {}

  std::optional<UnusedKey> why_unused(const Field& field) const {
    const auto holds = [&](const UnusedRule& rule) {
      return std::all_of(rule.conditions.begin(), rule.conditions.end(), [&](const auto& each) { return met(each); });
    };
    const auto& rules = field.traits.unused;
    const auto rule = std::find_if(rules.begin(), rules.end(), holds);
    if (rule == rules.end()) return std::nullopt;
    UnusedKey unused{field.path, {}, rule->reason};
    for (const KeyCondition& condition : rule->conditions) unused.causes.push_back(condition.key);
    if (rule->names_value) unused.reason += " " + field_value(field_of(unused.causes.front()));
    return unused;
  }

 private:
  bool met(const KeyCondition& condition) const {
    const Field& field = field_of(condition.key);
    if (why_unused(field)) return false;
    const bool listed = std::any_of(condition.values.begin(), condition.values.end(),
                                    [&](const std::string& value) { return has_value(field, value); });
    return listed != condition.negated;
  }

  const Field& field_of(const std::string& path) const {
    const auto& fields = list_.fields;
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const Field& each) { return each.path == path; });
    SHINE_CHECK(field != fields.end(), ConfigError, "a rule on unused keys names `", path, "`, which is no key");
    return *field;
  }

  const FieldList& list_;
};

}  // namespace

void FieldCollector::set(Field& field, UnusedRule rule) const {
  for (KeyCondition& condition : rule.conditions) {
    if (condition.key.find('.') == std::string::npos) condition.key.insert(0, prefix_);
  }
  field.traits.unused.push_back(std::move(rule));
}

std::vector<UnusedKey> unused_fields(const FieldList& list) {
  const Rules rules(list);
  std::vector<UnusedKey> unused;
  for (const Field& field : list.fields) {
    if (auto entry = rules.why_unused(field)) unused.push_back(std::move(*entry));
  }
  return unused;
}

}  // namespace shine
