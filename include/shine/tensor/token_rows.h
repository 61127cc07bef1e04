#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "shine/common/api.h"

namespace shine {

/// Row offsets of a packed batch: sequences one after another, without padding.
struct SHINE_API RowLayout {
  std::vector<std::int64_t> starts{0};  ///< R + 1 offsets (cu_seqlens); row i is [starts[i], starts[i + 1])

  std::int64_t rows() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  std::int64_t tokens() const { return starts.back(); }
  std::int64_t length(std::int64_t row) const {
    return starts[static_cast<std::size_t>(row) + 1] - starts[static_cast<std::size_t>(row)];
  }
  std::int64_t longest() const;  ///< 0 without rows
  void push(std::int64_t length) { starts.push_back(starts.back() + length); }

  /// Position of every token in its row, (N), int64.
  at::Tensor positions(at::Device device) const;

  /// Offsets (B_l + 1) of the tokens that share each of `adapters` LoRAs: consecutive groups of rows / adapters
  /// rows. Throws ShapeError unless `adapters` divides the number of rows.
  std::vector<std::int64_t> adapter_spans(std::int64_t adapters) const;
};

/// Token ids of R packed rows: the form of every batch; an op that needs padded rows makes them at its edge.
struct SHINE_API TokenRows {
  at::Tensor ids;  ///< (N), int64
  RowLayout layout;
  std::int64_t lowest = 0, highest = -1;  ///< id, where the host knows them; else highest < lowest

  static TokenRows pack(const std::vector<std::vector<std::int64_t>>& rows, at::Device device);

  /// From a padded batch (B, T) and its mask (1 = a real token, on either side); keeps the real tokens in order. Throws
  /// ShapeError unless both have one shape (B, T).
  static TokenRows from_padded(const at::Tensor& ids, const at::Tensor& mask);

  /// The rows of all `parts`, in order; on their device, without a transfer.
  static TokenRows concatenate(const std::vector<TokenRows>& parts);
};

/// The values as a tensor (n), int64. The copy to a GPU is asynchronous.
SHINE_API at::Tensor index_tensor(const std::vector<std::int64_t>& values, at::Device device);

/// Positions whose next token is a target: the loss at flat position p predicts the token at p + 1.
struct SHINE_API LabelledTokens {
  at::Tensor positions;  ///< (n), int64: flat index of the hidden state
  at::Tensor targets;    ///< (n), int64: the label of the following token

  std::int64_t count() const { return positions.defined() ? positions.size(0) : 0; }

  /// `labels` has one vector a row, as long as the row, -100 where no loss is taken. A row's first label is never used:
  /// nothing precedes it. Labels from `softmax_size` on (tokens that are inputs only) are left out.
  static LabelledTokens of(const std::vector<std::vector<std::int64_t>>& labels, at::Device device,
                           std::int64_t softmax_size = std::numeric_limits<std::int64_t>::max());

  /// The labels of all `parts`, for the rows that TokenRows::concatenate made of theirs.
  /// @param tokens  of each part's rows
  static LabelledTokens concatenate(const std::vector<LabelledTokens>& parts, const std::vector<std::int64_t>& tokens);
};

}  // namespace shine
