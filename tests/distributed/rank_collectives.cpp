#include "distributed/rank_collectives.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <vector>

#include "distributed/exchange.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine::test {
namespace {

constexpr at::ScalarType kTypes[]{at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte};
constexpr std::int64_t kSizes[]{0, 1, 2, 7, 1000, 70001};

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

void require_same(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  require(found.equal(expected), what);
}

/// What rank `rank` puts in: small whole numbers, whose sums are exact in every type.
at::Tensor values(int rank, std::int64_t size, const at::TensorOptions& type, int salt = 0) {
  return ((at::arange(size, at::kLong) * 3 + rank * 7 + salt) % 11).to(type);
}

at::Tensor reduced(int ranks, std::int64_t size, const at::TensorOptions& type, Reduction reduction, int salt = 0) {
  at::Tensor result = values(0, size, type, salt);
  for (int rank = 1; rank < ranks; ++rank) {
    const at::Tensor next = values(rank, size, type, salt);
    if (reduction == Reduction::sum) result = result + next;
    if (reduction == Reduction::minimum) result = at::minimum(result, next);
    if (reduction == Reduction::maximum) result = at::maximum(result, next);
  }
  return result;
}

void check_all_reduce(ProcessGroup& group, std::int64_t size, const at::TensorOptions& type) {
  for (const Reduction reduction : {Reduction::sum, Reduction::minimum, Reduction::maximum}) {
    const at::Tensor tensor = values(group.rank(), size, type);
    group.all_reduce(tensor, reduction);
    require_same(tensor, reduced(group.size(), size, type, reduction),
                 str("all-reduce ", static_cast<int>(reduction), " of ", size, ' ', type.dtype()));
  }
}

void check_scatter_and_gather(ProcessGroup& group, std::int64_t size, const at::TensorOptions& type) {
  const int rank = group.rank(), ranks = group.size();
  const std::string what = str(" of ", size, ' ', type.dtype());
  const at::Tensor sums = reduced(ranks, size * ranks, type, Reduction::sum);
  const at::Tensor expected_piece = sums.narrow(0, rank * size, size);

  at::Tensor input = values(rank, size * ranks, type), output = at::full({size}, 99, type);
  group.reduce_scatter(output, input);
  require_same(output, expected_piece, "reduce-scatter" + what);
  input = values(rank, size * ranks, type);
  at::Tensor own = input.narrow(0, rank * size, size);
  group.reduce_scatter(own, input);
  require_same(own, expected_piece, "reduce-scatter in place" + what);

  at::Tensor gathered = at::full({ranks, size}, 99, type);
  group.all_gather(gathered, expected_piece.contiguous());
  require_same(gathered.view({-1}), sums, "all-gather" + what);
  gathered = at::full({ranks * size}, 99, type);
  own = gathered.narrow(0, rank * size, size);
  own.copy_(expected_piece);
  group.all_gather(gathered, own);
  require_same(gathered, sums, "all-gather in place" + what);
}

void check_broadcast(ProcessGroup& group, std::int64_t size, const at::TensorOptions& type) {
  for (int root = 0; root < group.size(); ++root) {
    const at::Tensor tensor = values(group.rank(), size, type);
    group.broadcast(tensor, root);
    require_same(tensor, values(root, size, type), str("broadcast from ", root, " of ", size, ' ', type.dtype()));
  }
}

/// Started one after another, of all kinds, and waited for in the opposite order.
void check_several_in_flight(ProcessGroup& group, at::Device device) {
  const at::TensorOptions type = at::TensorOptions(device).dtype(at::kFloat);
  const int rank = group.rank(), ranks = group.size();
  std::vector<at::Tensor> sums, pieces, wholes;
  std::vector<ProcessGroup::Pending> pending;
  for (int i = 0; i < 6; ++i) {
    const std::int64_t size = 1 + i * 1009;
    sums.push_back(values(rank, size, type, i));
    pieces.push_back(at::zeros({size}, type));
    wholes.push_back(at::zeros({size * ranks}, type));
    pending.push_back(group.start_all_reduce(sums.back(), Reduction::sum));
    pending.push_back(group.start_reduce_scatter(pieces.back(), values(rank, size * ranks, type, i)));
    pending.push_back(group.start_all_gather(wholes.back(), values(rank, size, type, i)));
  }
  while (!pending.empty()) {
    pending.back()->wait();
    pending.pop_back();
  }
  for (int i = 0; i < 6; ++i) {
    const std::int64_t size = 1 + i * 1009;
    require_same(sums[i], reduced(ranks, size, type, Reduction::sum, i), str("all-reduce in flight ", i));
    require_same(pieces[i], reduced(ranks, size * ranks, type, Reduction::sum, i).narrow(0, rank * size, size),
                 str("reduce-scatter in flight ", i));
    for (int other = 0; other < ranks; ++other) {
      require_same(wholes[i].narrow(0, other * size, size), values(other, size, type, i),
                   str("all-gather in flight ", i));
    }
  }
}

/// Sums of real numbers are rounded equally on every rank.
void check_bits_are_equal(ProcessGroup& group, at::Device device) {
  for (const std::int64_t size : {std::int64_t{1}, std::int64_t{4099}, std::int64_t{300007}}) {
    const at::Tensor tensor = at::sin(at::arange(size, at::TensorOptions(device).dtype(at::kFloat)) *
                                      (1.7F + static_cast<float>(group.rank())));
    group.all_reduce(tensor);
    const at::Tensor all = at::zeros({group.size(), size}, tensor.options());
    group.all_gather(all, tensor);
    for (int rank = 0; rank < group.size(); ++rank) require_same(all[rank], tensor, "bits of an all-reduce");
  }
}

template <class Call>
void require_refused(const Call& call, const std::string& what) {
  try {
    call();
  } catch (const ShapeError&) {
    return;
  }
  require(false, what + " was accepted");
}

void check_refusals(ProcessGroup& group) {
  const int ranks = group.size();
  require_refused([&] { group.all_reduce(at::zeros({4, 4}).t().narrow(0, 0, 2)); }, "a tensor with holes");
  require_refused([&] { group.all_reduce(at::zeros({4}, at::kBFloat16)); }, "bfloat16");
  require_refused([&] { group.broadcast(at::zeros({4}, at::kBool), 0); }, "bool");
  require_refused([&] { group.all_gather(at::zeros({3 * ranks + 1}), at::zeros({3})); }, "an odd piece");
  require_refused([&] { group.reduce_scatter(at::zeros({3}), at::zeros({3 * ranks - 1})); }, "an odd whole");
  require_refused([&] { group.all_gather(at::zeros({3 * ranks}, at::kInt), at::zeros({3})); }, "two types");
}

}  // namespace

void check_collectives(ProcessGroup& group, at::Device device) {
  for (const at::ScalarType scalar : kTypes) {
    const at::TensorOptions type = at::TensorOptions(device).dtype(scalar);
    for (const std::int64_t size : kSizes) {
      check_all_reduce(group, size, type);
      check_scatter_and_gather(group, size, type);
      check_broadcast(group, size, type);
    }
  }
  check_several_in_flight(group, device);
  check_bits_are_equal(group, device);
  check_refusals(group);
  group.barrier();
}

void check_texts(ProcessGroup& group) {
  const int ranks = group.size();
  const auto text_of = [](int rank) {
    return rank == 0 ? std::string() : std::string(rank * 100000, 'a') + '\0' + "z";
  };
  std::vector<std::string> expected;
  for (int rank = 0; rank < ranks; ++rank) expected.push_back(text_of(rank));
  require(gather_texts(group, text_of(group.rank())) == expected, "gathered texts");
  require(gather_texts(group, "") == std::vector<std::string>(ranks), "gathered empty texts");
  for (int root = 0; root < ranks; ++root) {
    require(broadcast_text(group, text_of(group.rank()), root) == text_of(root), "broadcast text");
  }
  require_equal(group, std::string(100000, 'b'), "the same text", "");
  if (ranks == 1) return;
  try {
    require_equal(group, group.rank() == ranks - 1 ? "1.2" : "1.1", "the version", "install it everywhere");
  } catch (const ConfigError& error) {
    const std::string text = str("the version: differs from rank 0's on rank ", ranks - 1, " (install it everywhere)");
    require(error.what() == text, str("`", error.what(), "` is not `", text, "`"));
    return;
  }
  require(false, "a difference was accepted");
}

}  // namespace shine::test
