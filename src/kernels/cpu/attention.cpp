#include "kernels/cpu/attention.h"

#include <cmath>

#include "kernels/cpu/attention_blocks.h"

namespace shine::cpu {
namespace {

/// One worker's memory in the forward.
template <class T>
struct ForwardScratch {
  using W = Wide<T>;

  ForwardScratch(std::int64_t workers, std::int64_t d)
      : wide(workers, (kKeys + d) * kColumns, kType<W>), narrow(workers, (d + kKeys) * kColumns, kType<T>) {}

  WorkerScratch<W> wide;    ///< scores (kKeys, kColumns), sums (d, kColumns)
  WorkerScratch<T> narrow;  ///< queries (d, kColumns), weights (kKeys, kColumns)
};

/// The attention of one head for a block of queries. Its values, the sums of which are made transposed, come in tiles.
template <class T>
void attend(const Operands<T>& in, const TransposedTiles<T>& values, const QueryBlock& block, std::int64_t head,
            Wide<T>* wide, T* narrow, T* out, Wide<T>* log_sums) {
  using W = Wide<T>;
  W *scores = wide, *sums = wide + kKeys * kColumns;
  T *queries = narrow, *weights = narrow + in.d * kColumns;
  const std::int64_t kv_head = head / in.group, columns = padded_columns(block.count);
  ColumnValues<W> last, highest, sum{}, factor;
  write_last(in.rows, block, last);
  highest.fill(-kNoScore<W>);  // a column of padding gets no weights
  std::fill_n(highest.begin(), block.count, kNoScore<W>);
  pack_columns(block.count, in.d, in.q + in.at_query(block.first, head), in.ld_q, queries);
  for (std::int64_t key = 0; key < block.keys; key += kKeys) {
    const auto part = score_block(in, block, last, key);
    product(score_sizes(in, part), in.k + in.at_key(block.row, key, kv_head), queries, scores);
    softmax_columns(part, scores, weights, highest.data(), sum.data(), factor.data());
    if (key > 0) scale_columns(in.d, columns, factor.data(), sums);
    product(sum_sizes(in, part, key > 0), values.at(block.row, key, kv_head), weights, sums);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i) {
    log_sums[(block.first + static_cast<std::int64_t>(i)) * in.heads.heads + head] = highest[i] + std::log(sum[i]);
  }
  for (std::size_t i = 0; i < sum.size(); ++i) factor[i] = W(1) / sum[i];
  scale_columns(in.d, columns, factor.data(), sums);
  columns_to_rows(block.count, in.d, sums, out + in.at_query(block.first, head), in.ld_q);
}

/// All blocks, those with the most keys first.
std::vector<QueryBlock> blocks_by_cost(const AttentionRows& rows) {
  std::vector<QueryBlock> blocks;
  for (std::int64_t row = 0; row < rows.queries.rows(); ++row) {
    for (const QueryBlock& block : query_blocks(rows, row)) blocks.push_back(block);
  }
  std::ranges::stable_sort(blocks, std::ranges::greater{}, &QueryBlock::keys);
  return blocks;
}

template <class T>
void run_forward(const Operands<T>& in, const AttentionResult& result) {
  const std::vector<QueryBlock> blocks = blocks_by_cost(in.rows);
  const std::int64_t heads = in.heads.heads, tasks = static_cast<std::int64_t>(blocks.size()) * heads;
  const TransposedTiles<T> values(in, in.v);
  const ForwardScratch<T> scratch(workers(tasks), in.d);
  run_tasks(tasks, [&](std::int64_t task, std::int64_t worker) {
    attend(in, values, blocks[static_cast<std::size_t>(task / heads)], task % heads, scratch.wide.of(worker),
           scratch.narrow.of(worker), mutable_data<T>(result.out), mutable_data<Wide<T>>(result.log_sums));
  });
}

}  // namespace

AttentionResult attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const AttentionRows& rows, const AttentionHeads& heads) {
  AttentionResult result{at::empty_like(q),
                         at::empty({q.size(0), heads.heads}, q.options().dtype(wide_type(q.scalar_type())))};
  with_kernel_type(q.scalar_type(),
                   [&](auto type) { run_forward(Operands<decltype(type)>(q, k, v, rows, heads), result); });
  return result;
}

}  // namespace shine::cpu
