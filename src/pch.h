// Precompiled for every unit that includes torch; the units name what they use themselves. Every unit instantiates the
// templates that these headers leave pending, needed or not: a header that few units use costs more here than there.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/cloneable.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
