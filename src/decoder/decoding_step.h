#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "shine/decoder/decoder.h"
#include "shine/decoder/kv_cache.h"
#include "shine/lora/lora_tree.h"

namespace shine {

class GraphedWork;

/// One new token for each of R rows, with every tensor at a fixed address and every size fixed, so that a GPU can
/// replay the step as one CUDA graph. It calls DecoderLayer::forward; attention reads the first `window` positions of
/// every row, whatever its length. The window grows in steps of kWindowStep, and the graph is captured again when it
/// does. Runs in inference mode.
class DecodingStep {
 public:
  static constexpr std::int64_t kWindowStep = 256;

  /// @param lora     null, or B_l adapters shared by consecutive rows, cast once; ShapeError unless B_l divides the
  ///                 cache's rows
  /// @param cache    with decoder must outlive the step; rows that are run need a free place (KvCache::reserve)
  /// @param capture  on a GPU as a CUDA graph; a CPU runs the same operations one by one
  DecodingStep(const Decoder& decoder, const LoraTree* lora, KvCache& cache, bool capture);
  ~DecodingStep();
  DecodingStep(const DecodingStep&) = delete;
  DecodingStep& operator=(const DecodingStep&) = delete;

  /// Appends ids[i] to every active row i and returns the next-token logits, (R, softmax size); those of inactive rows
  /// are meaningless. The next call overwrites them. Ids must be in the embedding matrix, not added tokens. Throws
  /// ShapeError unless there is one id per row and every row has a free place.
  at::Tensor run(const std::vector<std::int64_t>& ids, const std::vector<bool>& active);

 private:
  class Window;

  void prepare(std::int64_t window);
  void compute();

  const Decoder& decoder_;
  KvCache& cache_;
  bool capture_;
  LoraTree lora_;  ///< empty: none
  std::vector<std::int64_t> spans_;
  std::int64_t window_ = 0, capacity_ = 0;
  at::Tensor input_;   ///< (2, R): ids, places of the new tokens
  at::Tensor logits_;  ///< (R, softmax size)
  std::unique_ptr<GraphedWork> work_;
};

}  // namespace shine
