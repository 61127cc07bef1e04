#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <vector>

#include "shine/lora/lora_tree.h"
#include "shine/models/decoder/decoder.h"
#include "shine/models/decoder/kv_cache.h"

namespace shine {

class RecordedWork;

/// One new token for each of R rows, with every tensor at a fixed place and every size fixed, so that a GPU can replay
/// the step as one CUDA graph. Attention reads the first `window` places of every row, whatever its length: the window
/// grows in steps of window_step, and the step is recorded anew then. Runs in inference mode.
class DecodingStep {
 public:
  static constexpr std::int64_t window_step = 256;

  /// Stacks the adapters and casts them, once.
  /// @param lora    null, or B_l adapters shared by consecutive rows; ShapeError unless B_l divides the cache's rows
  /// @param cache   with decoder must outlive the step; rows that are run need a free place (KvCache::reserve)
  /// @param record  on a GPU as a CUDA graph; a CPU runs the same operations one by one
  DecodingStep(const Decoder& decoder, const LoraTree* lora, KvCache& cache, bool record);
  ~DecodingStep();
  DecodingStep(const DecodingStep&) = delete;
  DecodingStep& operator=(const DecodingStep&) = delete;

  /// Appends ids[i] to every active row and returns the logits behind it, (R, softmax size); those of other rows mean
  /// nothing. The next call overwrites them. Ids are of the embedding matrix, not of added rows. Throws ShapeError
  /// unless there is one id a row and every row has a free place.
  at::Tensor run(const std::vector<std::int64_t>& ids, const std::vector<bool>& active);

 private:
  /// Maps of one input: A side by side, (B_l, in, K), and what each map takes of the K columns.
  struct Maps {
    at::Tensor a;
    std::vector<at::Tensor> b, c;  ///< (B_l, r, out), (B_l, 1, out) or undefined
  };
  struct LayerMaps {
    Maps qkv, o, gate_up, down;
  };

  Maps stack(const LoraLayer& layer, std::initializer_list<Projection> projections) const;
  void prepare(std::int64_t window);
  void compute();
  at::Tensor attend(std::size_t layer, const at::Tensor& q, const at::Tensor& mask) const;
  std::vector<at::Tensor> project(std::size_t layer, const Maps* maps, std::initializer_list<Projection> projections,
                                  const at::Tensor& x) const;

  const Decoder& decoder_;
  KvCache& cache_;
  bool record_;
  std::vector<LayerMaps> maps_;  ///< empty: no LoRA
  std::int64_t window_ = 0, capacity_ = 0;
  at::Tensor input_;   ///< (2, R): ids, places of the new tokens
  at::Tensor logits_;  ///< (R, softmax size)
  std::unique_ptr<RecordedWork> work_;
};

}  // namespace shine
