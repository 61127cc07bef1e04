#include "lora/lora_layout.h"

#include <ATen/ATen.h>

#include "shine/common/error.h"

namespace shine {
namespace {

at::Tensor& tensor_of(LoraWeights& weights, LoraSlice::Part part) {
  switch (part) {
    case LoraSlice::Part::a: return weights.a;
    case LoraSlice::Part::b: return weights.b;
    case LoraSlice::Part::c: break;
  }
  return weights.c;
}

/// @param values  (L, B, rows * columns)
/// @return        (L, B, rows, columns), for C (L, B, out); contiguous
at::Tensor shaped(const at::Tensor& values, const LoraSlice& slice) {
  at::Tensor tensor = values;
  if (slice.part != LoraSlice::Part::c) {
    tensor = slice.transposed ? values.unflatten(2, {slice.columns, slice.rows}).transpose(2, 3)
                              : values.unflatten(2, {slice.rows, slice.columns});
  }
  return (tensor * slice.factor).contiguous();
}

}  // namespace

LoraTree lora_from_vector(const at::Tensor& vector, const LoraLayout& layout) {
  const std::int64_t layers = layout.spec.layers, needed = layout.spec.numel_per_layer(layout.rank);
  SHINE_CHECK(vector.dim() == 2 && vector.size(1) % layers == 0 && vector.size(1) / layers >= needed, ShapeError,
              "a generated vector of shape ", vector.sizes(), " does not hold ", layers, " layers of ", needed,
              " LoRA values each");
  const std::vector<LoraSlice> slices = lora_slices(layout.spec, layout.rank, layout.reshape, layout.scale);
  std::vector<std::int64_t> sizes;
  for (const LoraSlice& slice : slices) sizes.push_back(slice.numel());
  sizes.push_back(vector.size(1) / layers - needed);                              // unused
  const at::Tensor by_layer = vector.unflatten(1, {layers, -1}).transpose(0, 1);  // (L, B, block)
  const std::vector<at::Tensor> values = by_layer.split_with_sizes(sizes, 2);
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(layers));
  for (std::size_t i = 0; i < slices.size(); ++i) {
    auto layer = tree.layers.begin();
    for (const at::Tensor& tensor : shaped(values[i], slices[i]).unbind(0)) {
      tensor_of((*layer++)[slices[i].projection], slices[i].part) = tensor;
    }
  }
  return tree;
}

}  // namespace shine
