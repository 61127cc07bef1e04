// Precompiled for every unit that includes torch; the units name what they use themselves.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/generated/variable_factories.h>
#include <torch/nn/cloneable.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
