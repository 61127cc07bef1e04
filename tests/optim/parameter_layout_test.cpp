#include "optim/parameter_layout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>

#include "optim/flat_parameters.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

std::vector<ParamGroup> groups_of(const std::vector<std::vector<std::int64_t>>& sizes) {
  std::vector<ParamGroup> groups;
  for (const auto& group_sizes : sizes) {
    ParamGroup& group = groups.emplace_back();
    for (const std::int64_t size : group_sizes) {
      group.names.push_back(str("t", group.names.size()));
      group.tensors.push_back(at::rand({size}).requires_grad_(true));
    }
  }
  return groups;
}

std::vector<std::vector<std::int64_t>> random_sizes(std::mt19937& random) {
  std::vector<std::vector<std::int64_t>> sizes(1 + random() % 4);
  for (auto& group : sizes) {
    group.resize(1 + random() % 7);
    for (std::int64_t& size : group) size = 1 + static_cast<std::int64_t>(random() % 90);
  }
  return sizes;
}

TEST(ParameterLayout, PiecesOfAllRanksTogetherAreAllTensorsOnce) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const auto groups = groups_of(random_sizes(random));
    const int pieces = 1 + static_cast<int>(random() % 5);
    const ParameterLayout layout(groups, pieces, 1 + static_cast<std::int64_t>(random() % 200));
    std::vector<int> owners(static_cast<std::size_t>(layout.numel()), 0);
    for (int piece = 0; piece < pieces; ++piece) {
      for (const auto& slice : layout.slices(piece)) {
        const auto& place = layout.places()[slice.place];
        EXPECT_GE(slice.begin, place.begin);
        EXPECT_LE(slice.begin + slice.numel, place.begin + place.numel);
        for (std::int64_t i = 0; i < slice.numel; ++i) ++owners[static_cast<std::size_t>(slice.begin + i)];
      }
    }
    std::int64_t owned = 0, wanted = 0;
    for (const int count : owners) {
      EXPECT_LE(count, 1);
      owned += count;
    }
    for (const ParamGroup& group : groups) wanted += group.numel();
    EXPECT_EQ(owned, wanted);
    std::int64_t end = 0;
    for (const auto& bucket : layout.buckets()) {
      EXPECT_EQ(bucket.begin, end);
      EXPECT_EQ((bucket.end - bucket.begin) % pieces, 0);
      end = bucket.end;
      for (const std::size_t place : bucket.places) {
        EXPECT_GE(layout.places()[place].begin, bucket.begin);
        EXPECT_LE(layout.places()[place].begin + layout.places()[place].numel, bucket.end);
      }
    }
  }
}

TEST(ParameterLayout, ABucketIsFullAtItsSizeAndALargerTensorIsOneByItself) {
  const auto groups = groups_of({{100, 16, 16, 16}, {16}});
  const ParameterLayout layout(groups, 1, 32);
  std::vector<std::vector<std::size_t>> places;
  for (const auto& bucket : layout.buckets()) places.push_back(bucket.places);
  // The last tensor of a group comes first.
  EXPECT_EQ(places, (std::vector<std::vector<std::size_t>>{{0, 1}, {2}, {3}, {4}}));
  EXPECT_EQ(layout.places()[0].index, 3U);
  EXPECT_EQ(layout.places()[3].index, 0U);
}

TEST(FlatParameters, TensorsKeepTheirValuesAndBecomeViews) {
  const auto groups = groups_of({{5, 3}, {20}});
  const at::Tensor before = groups[0].tensors[1].detach().clone();
  const ParameterLayout layout(groups, 2, 1000);
  FlatParameters flat(groups, layout);
  const at::Tensor& tensor = groups[0].tensors[1];
  EXPECT_TRUE(at::equal(tensor, before));
  EXPECT_TRUE(tensor.requires_grad() && tensor.is_leaf());
  (tensor * 2).sum().backward();
  EXPECT_EQ(flat.gradients().sum().item<double>(), 6.0);
  flat.values().fill_(1.5);
  EXPECT_TRUE(at::equal(tensor.detach(), at::full({3}, 1.5)));
}

TEST(FlatParameters, ForeignGradientsAreTakenOverAndMissingOnesAreZero) {
  const auto groups = groups_of({{4, 4}});
  const ParameterLayout layout(groups, 1, 1000);
  FlatParameters flat(groups, layout);
  flat.gradients().fill_(7);
  groups[0].tensors[0].mutable_grad() = at::full({4}, 2.0);
  groups[0].tensors[1].mutable_grad() = at::Tensor();
  flat.collect_gradients();
  EXPECT_TRUE(at::equal(groups[0].tensors[0].grad(), at::full({4}, 2.0)));
  EXPECT_TRUE(at::equal(groups[0].tensors[1].grad(), at::zeros({4})));
  groups[0].tensors[0].mutable_grad().fill_(3);
  EXPECT_EQ(flat.gradients().max().item<double>(), 7.0) << "padding is not touched";
  EXPECT_EQ(flat.gradients().eq(3).sum().item<std::int64_t>(), 4);
}

TEST(FlatParameters, RefusesTensorsOfSeveralTypes) {
  auto groups = groups_of({{4}});
  groups[0].names.push_back("wide");
  groups[0].tensors.push_back(at::zeros({2}, at::kDouble));
  const ParameterLayout layout(groups, 1, 1000);
  EXPECT_THROW(FlatParameters(groups, layout), ShapeError);
}

}  // namespace
}  // namespace shine::test
