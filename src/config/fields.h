#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "shine/common/api.h"
#include "shine/config/constraint.h"
#include "shine/config/enum_names.h"
#include "shine/config/key_traits.h"

namespace shine {

/// Access by index to a member of some enum type.
struct EnumMember {
  void* member = nullptr;
  std::size_t (*get)(const void*) = nullptr;
  void (*set)(void*, std::size_t) = nullptr;
  std::vector<std::string_view> names;
};

using MemberPointer = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*, std::vector<double>*,
                                   std::vector<std::string>*, EnumMember>;

/// One key of a config struct, bound to a member of one object, which must outlive it.
struct Field {
  std::string path;  ///< "hypernetwork.m2p.heads"
  std::string help;
  Constraint constraint;
  KeyTraits traits;
  MemberPointer member;
};

/// A nested struct.
struct FieldGroup {
  std::string path;
  std::string help;
};

/// All keys of an object, in the order of its visit().
struct FieldList {
  std::vector<Field> fields;
  std::vector<FieldGroup> groups;
};

/// The visitor that turns a struct's visit() into a FieldList: `v("clip_norm", clip_norm, "largest gradient norm",
/// above(0), unused_with("clip", {"none"}))`. Attributes are a Constraint and those of key_traits.h, in any order.
class SHINE_API FieldCollector {
 public:
  template <class T, class... Attributes>
  void operator()(std::string_view key, T& member, std::string_view help, const Attributes&... attributes) {
    Field field{prefix_ + std::string(key), std::string(help), {}, traits_, {}};
    field.traits.unused.clear();
    (set(field, attributes), ...);
    field.traits.unused.insert(field.traits.unused.end(), traits_.unused.begin(), traits_.unused.end());
    if constexpr (requires { member.visit(*this); }) {
      list_.groups.push_back({field.path, field.help});
      const std::string outer_prefix = std::exchange(prefix_, field.path + ".");
      const KeyTraits outer_traits = std::exchange(traits_, std::move(field.traits));
      member.visit(*this);
      prefix_ = outer_prefix;
      traits_ = outer_traits;
    } else {
      if constexpr (NamedEnum<T>) {
        const auto names = config_names(T{});
        field.member = EnumMember{&member, &enum_index<T>, &set_enum<T>, {names.begin(), names.end()}};
      } else {
        field.member = &member;
      }
      list_.fields.push_back(std::move(field));
    }
  }

  FieldList take() { return std::move(list_); }

 private:
  void set(Field& field, const Constraint& constraint) const { field.constraint = constraint; }
  void set(Field& field, ReadBy readers) const { field.traits.read_by = readers; }
  void set(Field& field, ResumeRule rule) const { field.traits.resume = rule; }
  void set(Field& field, AnswerRule rule) const { field.traits.answers = rule; }
  void set(Field& field, const FormerName& name) const { field.traits.former = name; }
  void set(Field& field, UnusedRule rule) const;

  template <class T>
  static std::size_t enum_index(const void* member) {
    return static_cast<std::size_t>(*static_cast<const T*>(member));
  }
  template <class T>
  static void set_enum(void* member, std::size_t index) {
    *static_cast<T*>(member) = static_cast<T>(index);
  }

  std::string prefix_;
  KeyTraits traits_;  ///< of the groups around
  FieldList list_;
};

template <class Config>
FieldList fields_of(Config& config) {
  FieldCollector collector;
  config.visit(collector);
  return collector.take();
}

/// "integer", "number", "true | false", "string", "path", "list of paths" or an enum's names, "a | b".
std::string field_type(const Field& field);

/// Copies the value of `from` to `to`, the same key of another object.
void copy_value(const Field& from, const Field& to);

/// The member's value as YAML on one line; numbers in the shortest form that reads back to the same.
std::string field_value(const Field& field);

/// The same as it is written into files: any reader of YAML 1.1 or 1.2 takes it for what it is, the word `off` of an
/// enum for a text and 1e-05 for a number.
std::string field_yaml(const Field& field);

/// Is this YAML text the member's value? Numbers are compared as numbers.
bool has_value(const Field& field, const std::string& text);

}  // namespace shine
