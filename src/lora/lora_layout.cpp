#include "shine/lora/lora_layout.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "kernels/cuda/cuda_ops.h"
#include "lora/slice_copies.h"
#include "lora/slice_table.h"
#include "shine/common/error.h"

namespace shine {
namespace {

enum class Part { a, b, c };

/// One tensor of the tree: where its values lie in a row of the vector, and how they are read.
struct Slice {
  std::int64_t start = 0;
  std::int64_t length = 0;
  Part part = Part::a;
  ProjectionSpec sizes;
};

/// Slices in the order of the vector; `block` is the width of one layer's part.
std::vector<Slice> slices_of(const LoraLayout& layout, std::int64_t block) {
  std::vector<Slice> slices;
  for (std::int64_t layer = 0; layer < layout.spec.layers; ++layer) {
    std::int64_t start = layer * block;
    for (const Projection p : kProjections) {
      const ProjectionSpec& sizes = layout.spec[p];
      const auto add = [&](Part part, std::int64_t length) {
        slices.push_back({start, length, part, sizes});
        start += length;
      };
      add(Part::a, sizes.in * layout.rank);
      add(Part::b, layout.rank * sizes.out);
      if (sizes.has_bias) add(Part::c, sizes.out);
    }
  }
  return slices;
}

/// View of `row_values` (B, length) as the slice's tensor, before scaling.
at::Tensor shaped(const at::Tensor& values, const Slice& slice, const LoraLayout& layout) {
  const std::int64_t batch = values.size(0), r = layout.rank;
  const bool a_by_rank = layout.method == LoraMethod::lr || layout.method == LoraMethod::ll;    // A = view(r, in)^T
  const bool b_by_output = layout.method == LoraMethod::rr || layout.method == LoraMethod::lr;  // B = view(out, r)^T
  switch (slice.part) {
    case Part::a:
      return a_by_rank ? values.view({batch, r, slice.sizes.in}).transpose(1, 2)
                       : values.view({batch, slice.sizes.in, r});
    case Part::b:
      return b_by_output ? values.view({batch, slice.sizes.out, r}).transpose(1, 2)
                         : values.view({batch, r, slice.sizes.out});
    case Part::c: return values;
  }
  return values;
}

double factor(const Slice& slice, const LoraLayout& layout) {
  return slice.part == Part::c ? layout.scale : std::sqrt(layout.scale);
}

/// The slice of every row as a copy to or from `tensor`, or, where that is undefined, a new one.
SliceCopy copy_of(const Slice& slice, const LoraLayout& layout, std::int64_t batch, const at::TensorOptions& options,
                  at::Tensor tensor = {}) {
  const std::int64_t r = layout.rank, in = slice.sizes.in, out = slice.sizes.out;
  const bool a_by_rank = layout.method == LoraMethod::lr || layout.method == LoraMethod::ll;
  const bool b_by_output = layout.method == LoraMethod::rr || layout.method == LoraMethod::lr;
  SliceCopy copy{slice.start, 1, slice.length, false, factor(slice, layout), std::move(tensor)};
  std::vector<std::int64_t> shape{batch, out};
  if (slice.part == Part::a) shape = {batch, in, r};
  if (slice.part == Part::b) shape = {batch, r, out};
  if ((slice.part == Part::a && a_by_rank) || (slice.part == Part::b && b_by_output)) {
    copy.transposed = true;
    copy.rows = slice.part == Part::a ? r : out;
    copy.columns = slice.part == Part::a ? in : r;
  }
  copy.tensor = copy.tensor.defined() ? copy.tensor.contiguous() : at::empty(shape, options);
  return copy;
}

std::int64_t block_of(const at::Tensor& vector, const LoraLayout& layout) {
  const std::int64_t needed = layout.spec.numel_per_layer(layout.rank);
  SHINE_CHECK(
      vector.dim() == 2 && vector.size(1) % layout.spec.layers == 0 && vector.size(1) / layout.spec.layers >= needed,
      ShapeError, "a generated vector of shape ", vector.sizes(), " does not hold ", layout.spec.layers, " layers of ",
      needed, " LoRA values each");
  return vector.size(1) / layout.spec.layers;
}

LoraTree tree_of(const std::vector<at::Tensor>& tensors, const LoraSpec& spec) {
  LoraTree tree;
  tree.layers.resize(static_cast<std::size_t>(spec.layers));
  auto next = tensors.begin();
  for (LoraLayer& layer : tree.layers) {
    for (const Projection p : kProjections) {
      layer[p].a = *next++;
      layer[p].b = *next++;
      if (spec[p].has_bias) layer[p].c = *next++;
    }
  }
  return tree;
}

/// The table's tensors, one behind the other in `values`, each as a tensor of its own.
torch::autograd::variable_list tensors_of(const at::Tensor& values, const cuda::SliceTable& table) {
  torch::autograd::variable_list tensors;
  for (std::int64_t layer = 0; layer < table.layers; ++layer) {
    for (int i = 0; i < table.count; ++i) {
      const cuda::LoraSlice& slice = table.slices[i];
      std::vector<std::int64_t> sizes{table.batch, slice.rows, slice.columns};
      std::vector<std::int64_t> strides{slice.numel(), slice.columns, 1};
      if (slice.is_vector) {
        sizes.erase(sizes.begin() + 1);
        strides.erase(strides.begin() + 1);
      }
      // Not views: autograd gives each of them its own history.
      tensors.push_back(
          at::empty({0}, values.options())
              .set_(values.storage(), values.storage_offset() + table.tensor_begin(layer, i), sizes, strides));
    }
  }
  return tensors;
}

class LoraFromVector : public torch::autograd::Function<LoraFromVector> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& vector,
                                                const LoraLayout& layout, std::int64_t block) {
    context->set_materialize_grads(false);  // tensors that nothing used cost nothing
    context->saved_data["width"] = vector.size(1);
    context->saved_data["rank"] = layout.rank;
    context->saved_data["method"] = static_cast<std::int64_t>(layout.method);
    context->saved_data["scale"] = layout.scale;
    context->saved_data["block"] = block;
    std::vector<std::int64_t> sizes{layout.spec.layers};
    for (const ProjectionSpec& spec : layout.spec.projections) {
      sizes.insert(sizes.end(), {spec.in, spec.out, spec.has_bias ? 1 : 0});
    }
    context->saved_data["spec"] = sizes;
    if (takes_cuda_kernel(CudaKernel::lora_slices, vector)) {
      const cuda::SliceTable table = make_slice_table(layout, vector.size(0), block);
      return tensors_of(cuda_lora_slices(vector, table), table);
    }
    torch::autograd::variable_list outputs;
    if (slice_copies_run(vector)) {
      std::vector<SliceCopy> copies;
      for (const Slice& slice : slices_of(layout, block)) {
        copies.push_back(copy_of(slice, layout, vector.size(0), vector.options()));
        outputs.push_back(copies.back().tensor);
      }
      copy_from_matrix(vector, copies);
      return outputs;
    }
    for (const Slice& slice : slices_of(layout, block)) {
      const at::Tensor values = vector.narrow(1, slice.start, slice.length).contiguous();
      outputs.push_back((shaped(values, slice, layout) * factor(slice, layout)).contiguous());
    }
    return outputs;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const LoraLayout layout = restore_layout(context);
    const std::int64_t block = context->saved_data["block"].toInt();
    const std::vector<Slice> slices = slices_of(layout, block);
    const auto given = std::find_if(gradients.begin(), gradients.end(), [](const auto& g) { return g.defined(); });
    if (given == gradients.end()) return torch::autograd::variable_list(3);
    const std::int64_t batch = given->size(0);
    if (takes_cuda_kernel(CudaKernel::lora_slices, *given)) {
      return {cuda_lora_slices_backward(gradients, make_slice_table(layout, batch, block)), at::Tensor(), at::Tensor()};
    }
    const at::TensorOptions options = given->options();
    const at::Tensor result = at::zeros({batch, context->saved_data["width"].toInt()}, options);
    if (slice_copies_run(result)) {
      std::vector<SliceCopy> copies;
      for (std::size_t i = 0; i < slices.size(); ++i) {
        if (gradients[i].defined()) copies.push_back(copy_of(slices[i], layout, batch, options, gradients[i]));
      }
      copy_to_matrix(copies, result);
      return {result, at::Tensor(), at::Tensor()};
    }
    for (std::size_t i = 0; i < slices.size(); ++i) {
      if (!gradients[i].defined()) continue;
      // A contiguous buffer seen in the tensor's shape: writing through the view puts the values in vector order.
      const at::Tensor values = at::empty({batch, slices[i].length}, options);
      shaped(values, slices[i], layout).copy_(gradients[i]);
      result.narrow(1, slices[i].start, slices[i].length).copy_(values.mul_(factor(slices[i], layout)));
    }
    return {result, at::Tensor(), at::Tensor()};
  }

 private:
  static LoraLayout restore_layout(torch::autograd::AutogradContext* context) {
    LoraLayout layout;
    layout.rank = context->saved_data["rank"].toInt();
    layout.method = static_cast<LoraMethod>(context->saved_data["method"].toInt());
    layout.scale = context->saved_data["scale"].toDouble();
    const auto sizes = context->saved_data["spec"].toIntVector();
    layout.spec.layers = sizes[0];
    for (std::size_t i = 0; i < 7; ++i) {
      layout.spec.projections[i] = {sizes[1 + 3 * i], sizes[2 + 3 * i], sizes[3 + 3 * i] != 0};
    }
    return layout;
  }
};

}  // namespace

LoraTree lora_from_vector(const at::Tensor& vector, const LoraLayout& layout) {
  return tree_of(LoraFromVector::apply(vector, layout, block_of(vector, layout)), layout.spec);
}

LoraTree lora_from_vector_reference(const at::Tensor& vector, const LoraLayout& layout) {
  std::vector<at::Tensor> tensors;
  for (const Slice& slice : slices_of(layout, block_of(vector, layout))) {
    const at::Tensor values = vector.narrow(1, slice.start, slice.length).contiguous();
    tensors.push_back(shaped(values, slice, layout) * factor(slice, layout));
  }
  return tree_of(tensors, layout.spec);
}

}  // namespace shine
