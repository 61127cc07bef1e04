#include "lora/reshape.h"

#include <cmath>

namespace shine {
namespace {

struct Transposed {
  bool a = false, b = false;
};

Transposed transposed_by(LoraReshape reshape) {
  Transposed transposed;
  switch (reshape) {
    case LoraReshape::rl: break;                              // A = view(in, r),   B = view(r, out)
    case LoraReshape::rr: transposed = {false, true}; break;  // A = view(in, r),   B = view(out, r)^T
    case LoraReshape::lr: transposed = {true, true}; break;   // A = view(r, in)^T, B = view(out, r)^T
    case LoraReshape::ll: transposed = {true, false}; break;  // A = view(r, in)^T, B = view(r, out)
  }
  return transposed;
}

}  // namespace

std::vector<LoraSlice> lora_slices(const LoraSpec& spec, std::int64_t rank, LoraReshape reshape, double scale) {
  const Transposed transposed = transposed_by(reshape);
  const double root = std::sqrt(scale);
  std::vector<LoraSlice> slices;
  std::int64_t start = 0;
  for (const Projection p : kProjections) {
    const auto add = [&](LoraSlice slice) {
      slice.projection = p;
      slice.start = start;
      start += slice.numel();
      slices.push_back(slice);
    };
    const auto [in, out, has_bias] = spec[p];
    add({.part = LoraSlice::Part::a, .rows = in, .columns = rank, .transposed = transposed.a, .factor = root});
    add({.part = LoraSlice::Part::b, .rows = rank, .columns = out, .transposed = transposed.b, .factor = root});
    if (has_bias) add({.part = LoraSlice::Part::c, .rows = 1, .columns = out, .factor = scale});
  }
  return slices;
}

}  // namespace shine
