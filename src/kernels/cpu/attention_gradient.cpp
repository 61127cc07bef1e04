#include <limits>
#include <numeric>

#include "kernels/cpu/attention_blocks.h"
#include "kernels/cpu/row_kernels.h"

namespace shine::cpu {
namespace {

/// What the backward reads beside the operands.
template <class T>
struct Upstream {
  const T *dout, *out;
  const Wide<T>* log_sums;
};

/// One worker's memory in the backward.
template <class T>
class GradientScratch {
  using W = Wide<T>;

 public:
  GradientScratch(std::int64_t workers, std::int64_t d)
      : d_(d),
        wide_(workers, (2 * kKeys + d) * kColumns, kType<W>),
        narrow_(workers, (3 * kKeys + 4 * d) * kColumns, kType<T>) {}

  struct Parts {
    W *scores, *to_weights, *to_query;           ///< (kKeys, kColumns) twice, (d, kColumns)
    T *weights, *to_scores, *right_scores;       ///< (kKeys, kColumns) each
    T *queries, *dout, *query_rows, *dout_rows;  ///< (d, kColumns) twice, (kColumns, d) twice
  };
  Parts of(std::int64_t worker) const {
    W* wide = wide_.of(worker);
    T* narrow = narrow_.of(worker);
    const std::int64_t block = kKeys * kColumns, rows = d_ * kColumns;
    T* vectors = narrow + 3 * block;
    return {wide,           wide + block,       wide + 2 * block,  narrow, narrow + block, narrow + 2 * block, vectors,
            vectors + rows, vectors + 2 * rows, vectors + 3 * rows};
  }

 private:
  std::int64_t d_;
  WorkerScratch<W> wide_;
  WorkerScratch<T> narrow_;
};

/// Gradients of the keys and values of one row and kv head, (keys, d) each.
template <class W>
struct KeyGradients {
  W *k, *v;
};

/// Adds what a block of queries of one head gives to its keys and values, and writes the gradient of the queries.
template <class T>
void block_gradient(const Operands<T>& in, const Upstream<T>& upstream, const TransposedTiles<T>& keys,
                    const QueryBlock& block, std::int64_t head, const typename GradientScratch<T>::Parts& scratch,
                    const KeyGradients<Wide<T>>& sums, T* dq) {
  using W = Wide<T>;
  const std::int64_t d = in.d, kv_head = head / in.group, start = in.at_query(block.first, head);
  ColumnValues<W> last, log_sum, delta{};
  write_last(in.rows, block, last);
  log_sum.fill(std::numeric_limits<W>::infinity());  // a column of padding gives nothing
  for (std::int64_t i = 0; i < block.count; ++i) {
    log_sum[static_cast<std::size_t>(i)] = upstream.log_sums[(block.first + i) * in.heads.heads + head];
  }
  dot_rows(block.count, d, upstream.dout + start, in.ld_q, upstream.out + start, in.ld_q, delta.data());
  pack_columns(block.count, d, in.q + start, in.ld_q, scratch.queries);
  pack_columns(block.count, d, upstream.dout + start, in.ld_q, scratch.dout);
  const auto query_rows = rows_as_right(block.count, d, in.q + start, in.ld_q, scratch.query_rows);
  const auto dout_rows = rows_as_right(block.count, d, upstream.dout + start, in.ld_q, scratch.dout_rows);
  const GradientBlock<T> out{scratch.weights, scratch.to_scores, scratch.right_scores};
  const T* right_scores = kPaired<T> ? out.right_scores : out.to_scores;
  for (std::int64_t key = 0; key < block.keys; key += kKeys) {
    const auto part = score_block(in, block, last, key);
    const std::int64_t at = in.at_key(block.row, key, kv_head);
    product(score_sizes(in, part), in.k + at, scratch.queries, scratch.scores);
    product(score_sizes(in, part), in.v + at, scratch.dout, scratch.to_weights);
    softmax_gradient_columns(part, scratch.scores, scratch.to_weights, log_sum.data(), delta.data(), out);
    const auto add_rows = [&](const T* left, const RightOperand<T>& right, W* to) {
      product({.m = part.keys,
               .n = d,
               .k = inner<T>(block.count),
               .lda = kColumns,
               .ldb = right.ld,
               .ldc = d,
               .accumulate = true},
              left, right.values, to + key * d);
    };
    add_rows(out.weights, dout_rows, sums.v);
    add_rows(out.to_scores, query_rows, sums.k);
    product(sum_sizes(in, part, key > 0), keys.at(block.row, key, kv_head), right_scores, scratch.to_query);
  }
  columns_to_rows(block.count, d, scratch.to_query, dq + start, in.ld_q);
}

/// A share of the queries that one kv head of one row answers: every `parts`-th of its blocks.
struct GradientTask {
  std::int64_t row = 0, kv_head = 0, part = 0;
  std::int64_t cost = 0;
};

/// How the backward is divided.
struct GradientPlan {
  std::int64_t parts = 1;                       ///< tasks for one kv head of one row, each with sums of its own
  std::vector<GradientTask> tasks;              ///< the longest first
  std::vector<std::vector<QueryBlock>> blocks;  ///< of each row
};

/// The (block, head) pairs of a task, those with the most keys first: calls f(block, head).
template <class Function>
void for_blocks(const GradientPlan& plan, const GradientTask& task, std::int64_t group, const Function& f) {
  const auto& blocks = plan.blocks[static_cast<std::size_t>(task.row)];
  const auto count = static_cast<std::int64_t>(blocks.size()) * group;
  for (std::int64_t i = task.part; i < count; i += plan.parts) {
    f(blocks[static_cast<std::size_t>((count - 1 - i) / group)], task.kv_head * group + i % group);
  }
}

void divide(const AttentionHeads& heads, std::int64_t parts, GradientPlan& plan) {
  plan.parts = parts;
  plan.tasks.clear();
  for (std::int64_t row = 0; row < static_cast<std::int64_t>(plan.blocks.size()); ++row) {
    for (std::int64_t i = 0; i < heads.kv_heads * parts; ++i) {
      GradientTask task{.row = row, .kv_head = i / parts, .part = i % parts};
      for_blocks(plan, task, heads.heads / heads.kv_heads,
                 [&](const QueryBlock& block, std::int64_t /*head*/) { task.cost += block.keys; });
      plan.tasks.push_back(task);
    }
  }
  std::ranges::stable_sort(plan.tasks, std::ranges::greater{}, &GradientTask::cost);
}

/// Time until `threads` threads have done the tasks in their order over that of an even division.
double unevenness(const GradientPlan& plan, std::int64_t threads) {
  std::vector<std::int64_t> busy(static_cast<std::size_t>(threads));
  for (const GradientTask& task : plan.tasks) *std::ranges::min_element(busy) += task.cost;
  const auto total = std::accumulate(busy.begin(), busy.end(), std::int64_t{0});
  return static_cast<double>(std::ranges::max(busy) * threads) / static_cast<double>(std::max<std::int64_t>(1, total));
}

/// As few parts as will occupy every thread: each part's sums are added up at the end.
GradientPlan plan_gradient(const AttentionRows& rows, const AttentionHeads& heads) {
  GradientPlan plan;
  for (std::int64_t row = 0; row < rows.queries.rows(); ++row) plan.blocks.push_back(query_blocks(rows, row));
  const std::int64_t threads = workers(std::numeric_limits<std::int64_t>::max());
  divide(heads, 1, plan);
  double best = unevenness(plan, threads);
  for (std::int64_t parts = 2; parts <= 2 * threads && best > 1.1; ++parts) {
    GradientPlan finer;
    finer.blocks = plan.blocks;
    divide(heads, parts, finer);
    const double found = unevenness(finer, threads);
    if (found >= best) continue;
    best = found;
    plan = std::move(finer);
  }
  return plan;
}

template <class T>
class Backward {
  using W = Wide<T>;

 public:
  Backward(const Operands<T>& in, const Upstream<T>& upstream, const AttentionGradients& gradients)
      : in_(in), upstream_(upstream), gradients_(gradients), plan_(plan_gradient(in.rows, in.heads)) {}

  void run() const {
    const auto tasks = static_cast<std::int64_t>(plan_.tasks.size());
    const TransposedTiles<T> keys(in_, in_.k);
    const GradientScratch<T> scratch(workers(tasks), in_.d);
    const bool shared = plan_.parts > 1;
    const std::int64_t values = 2 * in_.ld_kv * in_.rows.keys.tokens();
    const at::Tensor part_sums = at::empty({shared ? plan_.parts * values : 0}, kType<W>);
    const WorkerScratch<W> own_sums(workers(tasks), shared ? 0 : 2 * in_.d * in_.rows.keys.longest(), kType<W>);
    run_tasks(tasks, [&](std::int64_t i, std::int64_t worker) {
      const GradientTask& task = plan_.tasks[static_cast<std::size_t>(i)];
      const auto parts = scratch.of(worker);
      W* memory = shared ? mutable_data<W>(part_sums) + sums_at(task, task.part) : own_sums.of(worker);
      const KeyGradients<W> sums = sums_in(memory, task.row);
      std::fill_n(memory, 2 * in_.d * in_.rows.keys.length(task.row), W(0));
      for_blocks(plan_, task, in_.group, [&](const QueryBlock& block, std::int64_t head) {
        block_gradient(in_, upstream_, keys, block, head, parts, sums, mutable_data<T>(gradients_.q));
      });
      if (!shared) write(task, 0, in_.rows.keys.length(task.row), sums);
    });
    if (shared) add_parts(mutable_data<W>(part_sums));
  }

 private:
  /// Where the sums of a part of a task's row and kv head lie: (2, keys, d).
  std::int64_t sums_at(const GradientTask& task, std::int64_t part) const {
    const RowLayout& keys = in_.rows.keys;
    const std::int64_t before = keys.starts[static_cast<std::size_t>(task.row)] * in_.heads.kv_heads;
    return 2 * in_.d * (part * keys.tokens() * in_.heads.kv_heads + before + task.kv_head * keys.length(task.row));
  }
  KeyGradients<W> sums_in(W* memory, std::int64_t row) const {
    return {memory, memory + in_.d * in_.rows.keys.length(row)};
  }

  /// Rounds the sums of `count` keys from `first` on into the gradients.
  void write(const GradientTask& task, std::int64_t first, std::int64_t count, const KeyGradients<W>& sums) const {
    const std::int64_t to = in_.at_key(task.row, first, task.kv_head), from = first * in_.d;
    round_rows<T>(count, in_.d, sums.k + from, in_.d, mutable_data<T>(gradients_.k) + to, in_.ld_kv);
    round_rows<T>(count, in_.d, sums.v + from, in_.d, mutable_data<T>(gradients_.v) + to, in_.ld_kv);
  }

  void add_parts(W* memory) const {
    std::vector<std::pair<GradientTask, std::int64_t>> pieces;  // first keys of pieces of kKeys
    for (const GradientTask& task : plan_.tasks) {
      if (task.part > 0) continue;
      for (std::int64_t key = 0; key < in_.rows.keys.length(task.row); key += kKeys) pieces.emplace_back(task, key);
    }
    run_tasks(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i, std::int64_t /*worker*/) {
      const auto& [task, key] = pieces[static_cast<std::size_t>(i)];
      const std::int64_t keys = std::min(kKeys, in_.rows.keys.length(task.row) - key), at = key * in_.d;
      const KeyGradients<W> sums = sums_in(memory + sums_at(task, 0), task.row);
      for (std::int64_t part = 1; part < plan_.parts; ++part) {
        const KeyGradients<W> more = sums_in(memory + sums_at(task, part), task.row);
        add_rows<W>(keys * in_.d, sums.k + at, more.k + at, sums.k + at);
        add_rows<W>(keys * in_.d, sums.v + at, more.v + at, sums.v + at);
      }
      write(task, key, keys, sums);
    });
  }

  const Operands<T>& in_;
  Upstream<T> upstream_;
  const AttentionGradients& gradients_;
  GradientPlan plan_;
};

}  // namespace

AttentionGradients attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                      const at::Tensor& v, const AttentionResult& result, const AttentionRows& rows,
                                      const AttentionHeads& heads) {
  AttentionGradients gradients{at::empty_like(q), at::empty_like(k), at::empty_like(v)};
  with_kernel_type(q.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Upstream<T> upstream{data<T>(dout), data<T>(result.out), data<Wide<T>>(result.log_sums)};
    const Operands<T> operands(q, k, v, rows, heads);
    Backward<T>(operands, upstream, gradients).run();
  });
  return gradients;
}

}  // namespace shine::cpu
