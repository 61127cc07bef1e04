#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "kernels/cpu/block_product.h"
#include "kernels/cpu/scratch.h"
#include "kernels/sublayer_parts.h"

namespace shine::cpu {

/// Consecutive tokens of one adapter, worked on by one thread.
struct Segment {
  std::int64_t adapter = 0, first = 0, last = 0;
};

/// Tokens shared out evenly, in order, over the threads; each thread's share is cut where the adapter changes.
class TokenPlan {
 public:
  /// @param spans  offsets of each adapter's tokens, from 0; empty: one span over `tokens`
  TokenPlan(std::int64_t tokens, const std::vector<std::int64_t>& spans);

  /// Segments in order; those of one thread are next to each other.
  const std::vector<Segment>& segments() const { return segments_; }

  /// Calls `body(segment index, first, rows)` for every block of at most kBlockRows tokens, on all threads.
  template <class Body>
  void for_blocks(const Body& body) const {
    run([&](std::size_t index) {
      const Segment& segment = segments_[index];
      for (std::int64_t first = segment.first; first < segment.last; first += kBlockRows) {
        body(index, first, std::min(kBlockRows, segment.last - first));
      }
    });
  }

 private:
  void run(const std::function<void(std::size_t)>& of_segment) const;

  std::vector<Segment> segments_;
  std::vector<std::size_t> threads_{0};  ///< offsets into segments_, one more than there are threads
};

/// Gradients of one segment's LoRA, summed over its blocks.
struct GroupGradients {
  at::Tensor down;             ///< (R, in): of A, transposed
  std::vector<at::Tensor> up;  ///< (padded r, out) of each B
  at::Tensor constant;         ///< (sum of out) of the Cs
};

/// Projections that read the same rows, with the LoRAs of one call: y = x [W_1^T W_2^T ..] + bias + (x A) B + C.
/// Down products of all projections are one; R is the sum of their ranks, each padded for T.
template <class T>
class AdaptedGroup {
 public:
  /// @param lora  one per projection, or none
  AdaptedGroup(std::span<const PreparedLinear> linear, std::span<const LoraWeights> lora, at::ScalarType type);

  std::int64_t in() const { return linear_.front().in; }
  std::int64_t out() const { return offsets_.back(); }
  std::int64_t rank() const { return rank_ * static_cast<std::int64_t>(lora_.size()); }

  /// y (m, out), unless null, of x (m, in); `down` (m, R) gets x A. There is room for padded_rows(m) rows of y, as of
  /// dx below.
  void forward(std::int64_t adapter, std::int64_t m, const T* x, Wide<T>* y, T* down) const;

  /// dx (m, in), unless null, and the LoRA's gradients, from dy (m, out), x and x A. Without a LoRA `gradients` is not
  /// touched.
  void backward(std::int64_t adapter, std::int64_t m, const T* dy, const T* x, const T* down, Wide<T>* dx,
                GroupGradients* gradients) const;

  /// Call before `backward`: makes the operands that only it reads.
  void prepare_backward();

  /// Zeros for each segment; empty without a LoRA.
  std::vector<GroupGradients> make_gradients(const TokenPlan& plan) const;

  /// The segments' sums by adapter, in the shapes and dtype of the LoRAs: a, b, c of each projection.
  std::vector<LoraWeights> collect(const TokenPlan& plan, const std::vector<GroupGradients>& gradients) const;

 private:
  /// One adapter's right operands.
  struct Adapter {
    at::Tensor down;                        ///< of the As, (in, R)
    at::Tensor down_transposed;             ///< (R, in)
    std::vector<at::Tensor> up;             ///< of each B, (padded r, out)
    std::vector<at::Tensor> up_transposed;  ///< (out, padded r)
    at::Tensor constant;                    ///< (sum of out), undefined: none
  };

  /// One adapter's As beside each other, (in, R), and its B with padded rows, (padded r, out), rounded to T.
  const T* stacked_down(std::int64_t adapter, Scratch& scratch) const;
  const T* padded_up(std::int64_t adapter, std::size_t p, Scratch& scratch) const;

  std::int64_t width(std::size_t p) const { return offsets_[p + 1] - offsets_[p]; }

  std::span<const PreparedLinear> linear_;
  std::vector<LoraWeights> lora_;
  at::ScalarType type_;
  std::vector<std::int64_t> offsets_{0};  ///< of each projection's columns in y
  std::int64_t rank_ = 0;                 ///< of one projection, padded
  std::vector<Adapter> adapters_;
};

}  // namespace shine::cpu
