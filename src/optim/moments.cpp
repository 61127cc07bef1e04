#include "optim/moments.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "shine/common/error.h"

namespace shine {
namespace {

const char* const kFirst = "exp_avg.";
const char* const kSecond = "exp_avg_sq.";

}  // namespace

Moments::Moments(const std::vector<ParamGroup>& groups, const ParameterLayout& layout, const FlatParameters& flat,
                 ProcessGroup& ranks)
    : groups_(groups), layout_(layout), ranks_(ranks) {
  const std::vector<ParameterLayout::Slice> slices = layout_.slices(layout_.pieces() > 1 ? ranks_.rank() : 0);
  std::int64_t total = 0;
  for (const ParameterLayout::Slice& slice : slices) total += slice.numel;
  first_ = at::zeros({total}, flat.values().options());
  second_ = at::zeros_like(first_);
  std::int64_t offset = 0;
  for (const auto& [place, begin, numel] : slices) {
    parts_.push_back({layout_.places()[place].group, place, begin, offset, flat.values().narrow(0, begin, numel),
                      flat.gradients().narrow(0, begin, numel), first_.narrow(0, offset, numel),
                      second_.narrow(0, offset, numel)});
    offset += numel;
  }
}

std::vector<NamedTensor> Moments::state() const {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> first = whole(&Part::first), second = whole(&Part::second);
  std::vector<std::size_t> order(first.size());
  std::iota(order.begin(), order.end(), 0);
  const auto& places = layout_.places();
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(places[i].group, places[i].index); });
  std::vector<NamedTensor> named;
  for (const std::size_t i : order) {
    if (!first[i].defined()) continue;
    const ParamGroup& group = groups_[places[i].group];
    const std::string& name = group.names[places[i].index];
    const at::IntArrayRef sizes = group.tensors[places[i].index].sizes();
    named.push_back({kFirst + name, first[i].view(sizes)});
    named.push_back({kSecond + name, second[i].view(sizes)});
  }
  return named;
}

/// One moment of every tensor, flat, by place. With sharding every rank calls; the first gets the tensors in main
/// memory, the others undefined ones.
std::vector<at::Tensor> Moments::whole(at::Tensor Part::*moment) const {
  std::vector<at::Tensor> tensors(layout_.places().size());
  if (layout_.pieces() == 1) {
    for (const Part& part : parts_) tensors[part.place] = part.*moment;
    return tensors;
  }
  for (const ParameterLayout::Bucket& bucket : layout_.buckets()) {
    const at::Tensor all = at::zeros({bucket.end - bucket.begin}, first_.options());
    for (const Part& part : parts_) {
      if (part.begin < bucket.begin || part.begin >= bucket.end) continue;
      all.narrow(0, part.begin - bucket.begin, part.value.numel()).copy_(part.*moment);
    }
    const std::int64_t piece = layout_.piece_numel(bucket);
    ranks_.all_gather(all, all.narrow(0, ranks_.rank() * piece, piece));
    if (!ranks_.is_first()) continue;
    const at::Tensor held = all.to(at::kCPU);
    for (const std::size_t i : bucket.places) {
      const ParameterLayout::Place& place = layout_.places()[i];
      tensors[i] = held.narrow(0, place.begin - bucket.begin, place.numel);
    }
  }
  return tensors;
}

void Moments::load(const std::map<std::string, at::Tensor>& state) {
  const at::NoGradGuard no_grad;
  if (ranks_.is_first()) check(state);
  for (std::size_t i = 0; i < layout_.places().size(); ++i) {
    const ParameterLayout::Place& place = layout_.places()[i];
    const std::string& name = groups_[place.group].names[place.index];
    for (const auto& [prefix, moment] : {std::pair{kFirst, &Part::first}, std::pair{kSecond, &Part::second}}) {
      const at::Tensor whole = at::empty({place.numel}, first_.options());
      if (ranks_.is_first()) whole.copy_(state.at(prefix + name).reshape({-1}));
      ranks_.broadcast(whole, 0);
      for (const Part& part : parts_) {
        if (part.place != i) continue;
        (part.*moment).copy_(whole.narrow(0, part.begin - place.begin, part.value.numel()));
      }
    }
  }
}

void Moments::check(const std::map<std::string, at::Tensor>& state) const {
  const std::size_t expected = 2 * layout_.places().size();
  SHINE_CHECK(state.size() == expected, FormatError, "optimizer state of ", state.size(), " tensors, expected ",
              expected);
  for (const ParamGroup& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      for (const char* prefix : {kFirst, kSecond}) {
        const std::string name = prefix + group.names[i];
        const auto found = state.find(name);
        SHINE_CHECK(found != state.end(), FormatError, "optimizer state lacks ", name);
        SHINE_CHECK(found->second.sizes() == group.tensors[i].sizes(), FormatError, "optimizer state ", name,
                    " has shape ", found->second.sizes(), ", expected ", group.tensors[i].sizes());
      }
    }
  }
}

}  // namespace shine
