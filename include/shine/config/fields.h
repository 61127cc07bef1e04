#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shine/config/constraint.h"
#include "shine/config/enum_names.h"

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

/// The visitor that turns a struct's visit() into a FieldList.
class FieldCollector {
 public:
  template <class T>
  void operator()(std::string_view key, T& member, std::string_view help, Constraint constraint = {}) {
    const std::string path = prefix_ + std::string(key);
    if constexpr (requires { member.visit(*this); }) {
      list_.groups.push_back({path, std::string(help)});
      const std::string outer = prefix_;
      prefix_ = path + ".";
      member.visit(*this);
      prefix_ = outer;
    } else if constexpr (NamedEnum<T>) {
      const auto names = config_names(T{});
      list_.fields.push_back({path, std::string(help), std::move(constraint),
                              EnumMember{&member, &enum_index<T>, &set_enum<T>, {names.begin(), names.end()}}});
    } else {
      list_.fields.push_back({path, std::string(help), std::move(constraint), &member});
    }
  }

  FieldList take() { return std::move(list_); }

 private:
  template <class T>
  static std::size_t enum_index(const void* member) {
    return static_cast<std::size_t>(*static_cast<const T*>(member));
  }
  template <class T>
  static void set_enum(void* member, std::size_t index) {
    *static_cast<T*>(member) = static_cast<T>(index);
  }

  std::string prefix_;
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

/// Gives the member of `to` the value of the member of `from`, which is the same key of another object.
void copy_value(const Field& from, const Field& to);

/// The member's value as YAML on one line; numbers in the shortest form that reads back to the same.
std::string field_value(const Field& field);

}  // namespace shine
