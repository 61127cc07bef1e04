#pragma once

#include <string>

#include "config/fields.h"
#include "config/yaml_tree.h"

namespace shine {

/// Sets the field's member from a YAML value. Returns the fault, e.g. "`schedule.epochs`: expected an integer at
/// least 1, found `0`"; empty when the value was taken. The member is unchanged on a fault.
std::string read_field(const Field& field, const YamlNode& node);

}  // namespace shine
