#include "train/random_state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <map>

#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

std::map<std::string, at::Generator> generators(at::Device device) {
  std::map<std::string, at::Generator> all{{"cpu", at::detail::getDefaultCPUGenerator()}};
  if (!device.is_cpu()) all.emplace("cuda", at::globalContext().defaultGenerator(device));
  return all;
}

}  // namespace

NamedRawTensors random_states(at::Device device) {
  NamedRawTensors states;
  for (const auto& [name, generator] : generators(device)) states.emplace_back(name, to_raw(generator.get_state()));
  return states;
}

void restore_random_states(const RawTensorDict& states, at::Device device) {
  for (auto& [name, generator] : generators(device)) {
    const auto found = states.find(name);
    if (found == states.end()) continue;
    at::Generator target = generator;
    target.set_state(to_tensor(found->second).clone());
  }
}

}  // namespace shine
