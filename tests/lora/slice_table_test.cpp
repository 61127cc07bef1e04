// The GPU kernels' index arithmetic, run on the CPU.
#include "lora/slice_table.h"

#include "kernels/cuda/flat_chunks.h"
#include "lora/small_spec.h"
#include "shine/config/enum_names.h"
#include "support/tensor_match.h"

namespace shine::test {
namespace {

struct Case {
  LoraLayout layout;
  std::int64_t batch, block;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const LoraMethod method : {LoraMethod::rl, LoraMethod::rr, LoraMethod::lr, LoraMethod::ll}) {
    for (const bool biases : {false, true}) {
      const LoraLayout layout{small_spec(biases), 3, method, 0.25};
      all.push_back({layout, 2, layout.spec.numel_per_layer(3) + 4});
    }
  }
  return all;
}

/// The tree's tensors in the table's order.
std::vector<at::Tensor> tensors_of(LoraTree tree) {
  std::vector<at::Tensor> tensors;
  for_each_tensor(tree, [&](const std::string&, at::Tensor& tensor) { tensors.push_back(tensor.contiguous()); });
  return tensors;
}

TEST(SliceTable, TensorsTakeTheirValuesFromTheVector) {
  for (const auto& [layout, batch, block] : cases()) {
    const cuda::SliceTable table = make_slice_table(layout, batch, block);
    EXPECT_EQ(table.used, layout.spec.numel_per_layer(layout.rank));
    const at::Tensor vector = random_tensor({batch, layout.spec.layers * block}, at::kFloat);
    std::vector<at::Tensor> flat;
    for (const at::Tensor& tensor : tensors_of(lora_from_vector_reference(vector, layout)))
      flat.push_back(tensor.flatten());
    const at::Tensor expected = at::cat(flat);
    ASSERT_EQ(expected.numel(), table.tensor_values());
    at::Tensor found = at::zeros_like(expected);
    for (std::int64_t i = 0; i < table.tensor_values(); ++i) {
      const cuda::TensorPlace place = cuda::tensor_place(table, i);
      found.mutable_data_ptr<float>()[i] =
          vector.const_data_ptr<float>()[place.source] * table.slices[place.slice].factor;
    }
    EXPECT_TRUE(tensors_match(found, expected, 1e-7)) << enum_name(layout.method);
  }
}

TEST(SliceTable, TensorsBeginWhereTheTableSays) {
  for (const auto& [layout, batch, block] : cases()) {
    const cuda::SliceTable table = make_slice_table(layout, batch, block);
    std::int64_t begin = 0, number = 0;
    for (const at::Tensor& tensor :
         tensors_of(lora_from_vector_reference(at::zeros({batch, layout.spec.layers * block}), layout))) {
      const cuda::LoraSlice& slice = table.slices[number % table.count];
      EXPECT_EQ(table.tensor_begin(number / table.count, static_cast<int>(number % table.count)), begin);
      EXPECT_EQ(slice.is_vector, tensor.dim() == 2);
      EXPECT_EQ(slice.columns, tensor.size(-1));
      EXPECT_EQ(slice.numel() * batch, tensor.numel());
      begin += tensor.numel();
      ++number;
    }
  }
}

TEST(SliceTable, EveryValueOfTheVectorKnowsItsTensor) {
  for (const auto& [layout, batch, block] : cases()) {
    const cuda::SliceTable table = make_slice_table(layout, batch, block);
    const at::Tensor vector = random_tensor({batch, layout.spec.layers * block}, at::kFloat);
    const std::vector<at::Tensor> tensors = tensors_of(lora_from_vector_reference(vector, layout));
    std::int64_t unread = 0;
    for (std::int64_t i = 0; i < table.vector_values(); ++i) {
      const cuda::VectorPlace place = cuda::vector_place(table, i);
      if (place.slice < 0) {
        ++unread;
        continue;
      }
      const float value = tensors[static_cast<std::size_t>(place.tensor)].const_data_ptr<float>()[place.place];
      EXPECT_FLOAT_EQ(value, vector.const_data_ptr<float>()[i] * table.slices[place.slice].factor);
    }
    EXPECT_EQ(unread, batch * layout.spec.layers * 4);
  }
}

TEST(FlatChunks, CoverEveryRangeOnce) {
  const std::vector<cuda::FlatRange> ranges{{32, 0, 5, 0, 2}, {64, 5, 2 * cuda::flat_chunk_values + 1, 1, 0}};
  const cuda::FlatTables tables = cuda::cut_into_chunks(ranges);
  ASSERT_EQ(tables.parts.size(), 2U);
  ASSERT_EQ(tables.chunks.size(), 4U);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    std::int64_t covered = 0;
    EXPECT_EQ(tables.parts[i].place, ranges[i].place);
    for (std::int64_t chunk = 0; chunk < tables.parts[i].chunks; ++chunk) {
      const cuda::FlatChunk& found = tables.chunks[static_cast<std::size_t>(tables.parts[i].first_chunk + chunk)];
      EXPECT_EQ(found.begin, ranges[i].begin + covered);
      EXPECT_EQ(found.offset, ranges[i].offset + covered);
      EXPECT_EQ(found.group, ranges[i].group);
      EXPECT_LE(found.numel, cuda::flat_chunk_values);
      covered += found.numel;
    }
    EXPECT_EQ(covered, ranges[i].numel);
  }
}

}  // namespace
}  // namespace shine::test
