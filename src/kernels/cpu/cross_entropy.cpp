#include "kernels/cpu/cross_entropy.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <vector>

#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/block_product.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tasks.h"

namespace shine::cpu {
namespace {

/// Tokens of the vocabulary worked on at a time.
constexpr std::int64_t kStrip = 128;
/// Blocks of kColumns rows that share each strip; their sums, one float per value, live that long.
constexpr std::int64_t kBlocks = 4;
/// Values of each row that one task merges.
constexpr std::int64_t kSlice = 128;

template <class T>
class CrossEntropy {
  using W = Wide<T>;
  using Columns = std::array<W, kColumns>;

 public:
  CrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
               const CrossEntropyResult& result)
      : n_(hidden.size(0)),
        width_(hidden.size(1)),
        vocabulary_(weight.size(0)),
        need_gradient_(result.to_hidden.defined()),
        hidden_(data<T>(hidden)),
        weight_(data<T>(weight)),
        targets_(data<std::int64_t>(targets)),
        losses_(mutable_data<W>(result.losses)),
        to_hidden_(need_gradient_ ? mutable_data<T>(result.to_hidden) : nullptr),
        type_(hidden.scalar_type()),
        shares_(workers(strips())),
        rows_(at::empty({kBlocks * width_ * kColumns}, type_)),
        sums_(at::empty({need_gradient_ ? shares_ * kBlocks * width_ * kColumns : 0}, wide_type(type_))),
        states_(static_cast<std::size_t>(shares_ * kBlocks)) {}

  void run() {
    const WorkerScratch<W> scores(shares_, kStrip * kColumns, wide_type(type_));
    const WorkerScratch<T> narrow(shares_, kStrip * (kColumns + (need_gradient_ ? width_ : 0)), type_);
    for (first_ = 0; first_ < n_; first_ += kBlocks * kColumns) {
      blocks_ = std::min(kBlocks, (n_ - first_ + kColumns - 1) / kColumns);
      run_tasks(blocks_, [&](std::int64_t block, std::int64_t /*worker*/) { prepare(block); });
      run_tasks(shares_, [&](std::int64_t share, std::int64_t worker) {
        const std::int64_t end = (share + 1) * strips() / shares_;
        for (std::int64_t strip = share * strips() / shares_; strip < end; ++strip) {
          add_strip(strip * kStrip, share, scores.of(worker), narrow.of(worker));
        }
      });
      run_tasks(blocks_, [&](std::int64_t block, std::int64_t /*worker*/) { finish_losses(block); });
      if (!need_gradient_) continue;
      const std::int64_t slices = (width_ + kSlice - 1) / kSlice;
      run_tasks(blocks_ * slices, [&](std::int64_t task, std::int64_t /*worker*/) {
        finish_gradient(task / slices, task % slices * kSlice);
      });
    }
  }

 private:
  /// The softmax of a block's rows over a share of the vocabulary, as far as it has got.
  struct State {
    alignas(64) Columns highest, sum, factor;
  };

  std::int64_t strips() const { return (vocabulary_ + kStrip - 1) / kStrip; }
  std::int64_t row(std::int64_t block) const { return first_ + block * kColumns; }
  std::int64_t count(std::int64_t block) const { return std::min(kColumns, n_ - row(block)); }
  State& state(std::int64_t share, std::int64_t block) {
    return states_[static_cast<std::size_t>(share * kBlocks + block)];
  }
  /// (H, kColumns): the block's rows as columns.
  T* columns_of(std::int64_t block) const { return mutable_data<T>(rows_) + block * width_ * kColumns; }
  /// (H, kColumns): sum over a share's tokens of their weights times their rows, transposed.
  W* sums_of(std::int64_t share, std::int64_t block) const {
    return mutable_data<W>(sums_) + (share * kBlocks + block) * width_ * kColumns;
  }

  void prepare(std::int64_t block) {
    pack_columns(count(block), width_, hidden_ + row(block) * width_, width_, columns_of(block));
    for (std::int64_t share = 0; share < shares_; ++share) {
      State& to = state(share, block);
      to.sum.fill(W(0));
      to.highest.fill(-kNoScore<W>);  // a column of padding gets no weights
      std::fill_n(to.highest.begin(), count(block), kNoScore<W>);
    }
  }

  void add_strip(std::int64_t token, std::int64_t share, W* scores, T* narrow) {
    const std::int64_t tokens = std::min(kStrip, vocabulary_ - token);
    const T* rows = weight_ + token * width_;
    T *weights = narrow, *transposed = narrow + kStrip * kColumns;
    const bool begins = token / kStrip == share * strips() / shares_;
    if (need_gradient_) transpose_block(tokens, width_, rows, width_, transposed, kStrip);
    for (std::int64_t block = 0; block < blocks_; ++block) {
      State& of = state(share, block);
      const ScoreBlock<W> part{.keys = tokens, .columns = padded_columns(count(block))};
      product({.m = tokens, .n = part.columns, .k = width_, .lda = width_, .ldb = kColumns, .ldc = kColumns}, rows,
              columns_of(block), scores);
      softmax_columns(part, scores, weights, of.highest.data(), of.sum.data(), of.factor.data());
      if (!need_gradient_) continue;
      W* sums = sums_of(share, block);
      if (!begins) scale_columns(width_, part.columns, of.factor.data(), sums);
      product({.m = width_,
               .n = part.columns,
               .k = padded_inner(tokens, type_),
               .lda = kStrip,
               .ldb = kColumns,
               .ldc = kColumns,
               .accumulate = !begins},
              transposed, weights, sums);
    }
  }

  /// The losses of a block, and in each share's `factor` what its sums count for.
  void finish_losses(std::int64_t block) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(count(block)); ++i) {
      W highest = kNoScore<W>, sum = 0;
      for (std::int64_t share = 0; share < shares_; ++share)
        highest = std::max(highest, state(share, block).highest[i]);
      for (std::int64_t share = 0; share < shares_; ++share) {
        State& of = state(share, block);
        of.factor[i] = std::exp(of.highest[i] - highest);
        sum += of.sum[i] * of.factor[i];
      }
      for (std::int64_t share = 0; share < shares_; ++share) state(share, block).factor[i] /= sum;
      const std::int64_t at = row(block) + static_cast<std::int64_t>(i);
      W score = 0;
      dot_rows(1, width_, hidden_ + at * width_, width_, target_row(at), width_, &score);
      losses_[at] = highest + std::log(sum) - score;
    }
  }

  /// Adds up the shares' sums of kSlice values of each row.
  void finish_gradient(std::int64_t block, std::int64_t slice) {
    const std::int64_t values = std::min(kSlice, width_ - slice);
    W* sums = sums_of(0, block) + slice * kColumns;
    for (std::int64_t share = 0; share < shares_; ++share) {
      W* part = sums_of(share, block) + slice * kColumns;
      scale_columns(values, padded_columns(count(block)), state(share, block).factor.data(), part);
      if (share > 0) add_rows<W>(values * kColumns, sums, part, sums);
    }
    std::array<W, kColumns * kSlice> expected;  // row of the head that the softmax expects
    columns_to_rows<W>(count(block), values, sums, expected.data(), kSlice);
    for (std::int64_t i = 0; i < count(block); ++i) {
      const std::int64_t at = row(block) + i;
      subtract_row(values, expected.data() + i * kSlice, target_row(at) + slice, to_hidden_ + at * width_ + slice);
    }
  }

  const T* target_row(std::int64_t at) const { return weight_ + targets_[at] * width_; }

  std::int64_t n_, width_, vocabulary_;
  bool need_gradient_;
  const T *hidden_, *weight_;
  const std::int64_t* targets_;
  W* losses_;
  T* to_hidden_;
  at::ScalarType type_;
  std::int64_t shares_;
  std::int64_t first_ = 0, blocks_ = 0;  ///< the group of rows that is worked on
  at::Tensor rows_, sums_;
  std::vector<State> states_;  ///< (shares, kBlocks)
};

void check_targets(const at::Tensor& targets, std::int64_t vocabulary) {
  const auto* target = data<std::int64_t>(targets);
  for (std::int64_t i = 0; i < targets.size(0); ++i) {
    TORCH_CHECK_INDEX(target[i] >= 0 && target[i] < vocabulary, "cross-entropy: target ", target[i],
                      ", expected one of a vocabulary of ", vocabulary);
  }
}

}  // namespace

bool cross_entropy_takes(const at::Tensor& hidden, const at::Tensor& weight) {
  const at::ScalarType type = hidden.scalar_type();
  return hidden.is_cpu() && weight.is_cpu() && weight.scalar_type() == type && kernels_run(type) &&
         padded_inner(hidden.size(1), type) == hidden.size(1) && hidden.size(1) > 0 && weight.size(0) > 0;
}

CrossEntropyResult cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                 bool need_gradient) {
  check_targets(targets, weight.size(0));
  CrossEntropyResult result{at::empty({hidden.size(0)}, hidden.options().dtype(wide_type(hidden.scalar_type()))),
                            need_gradient ? at::empty_like(hidden) : at::Tensor()};
  with_kernel_type(hidden.scalar_type(),
                   [&](auto type) { CrossEntropy<decltype(type)>(hidden, weight, targets, result).run(); });
  return result;
}

}  // namespace shine::cpu
