#include "train/random_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <map>

#include "shine/common/str.h"
#include "shine/tensor/torch_tensor.h"

namespace shine {
namespace {

std::map<std::string, at::Generator> generators(at::Device device) {
  std::map<std::string, at::Generator> all{{"cpu", at::detail::getDefaultCPUGenerator()}};
  if (!device.is_cpu()) all.emplace("cuda", at::globalContext().defaultGenerator(device));
  return all;
}

std::string state_name(std::int64_t rank, const std::string& device) {
  return rank == 0 ? device : str("rank", rank, ".", device);
}

}  // namespace

NamedRawTensors random_states(ProcessGroup& ranks, at::Device device) {
  NamedRawTensors states;
  for (const auto& [name, generator] : generators(device)) {
    const at::Tensor mine = generator.get_state();  // bytes
    const at::Tensor all = at::empty({ranks.size(), mine.numel()}, at::kByte);
    ranks.all_gather(all, mine);
    for (std::int64_t rank = 0; rank < ranks.size(); ++rank) {
      states.emplace_back(state_name(rank, name), to_raw(all[rank].clone()));
    }
  }
  return states;
}

void restore_random_states(ProcessGroup& ranks, const RawTensorDict& states, at::Device device) {
  for (auto& [name, generator] : generators(device)) {
    at::Generator target = generator;
    const std::int64_t size = target.get_state().numel();
    const at::Tensor all = at::zeros({ranks.size(), size}, at::kByte), known = at::zeros({ranks.size()}, at::kByte);
    for (std::int64_t rank = 0; rank < ranks.size(); ++rank) {
      const auto found = states.find(state_name(rank, name));
      if (found == states.end() || found->second.shape != std::vector<std::int64_t>{size}) continue;
      all[rank].copy_(to_tensor(found->second));
      known[rank] = 1;
    }
    ranks.broadcast(all, 0);
    ranks.broadcast(known, 0);
    if (known[ranks.rank()].item<bool>()) target.set_state(all[ranks.rank()].clone());
  }
}

}  // namespace shine
