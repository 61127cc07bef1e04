#include "kernels/cpu/attention_kernels.h"

#include "kernels/cpu/lanes.h"

namespace shine::cpu {
namespace {

using Halves = VectorOf<std::uint16_t, 16>::Type;

/// A register of values rounded to T.
template <class T>
inline void store_left(T* to, Lanes<Wide<T>> x) {
  if constexpr (sizeof(T) == sizeof(Bf16)) {
    store(to, __builtin_convertvector(rounded_words(x) >> 16U, Halves));
  } else {
    store(to, x);
  }
}

/// Two rows in pairs: row `key` of a right operand of bfloat16, from its column `column`.
inline void store_pair(Bf16* to, std::int64_t key, std::int64_t column, Lanes<float> first, Lanes<float> second) {
  store(to + key * kColumns + 2 * column, (rounded_words(first) >> 16U) | (rounded_words(second) & 0xFFFF0000U));
}

/// What the register of queries at `column` sees of a block.
template <class W, bool masked>
struct Sight {
  Lanes<W> last{};
  W first_key;

  Sight(const ScoreBlock<W>& block, std::int64_t column) : first_key(static_cast<W>(block.first_key)) {
    if constexpr (masked) last = load<Lanes<W>>(block.last + column);
  }
  Lanes<W> seen(std::int64_t key, Lanes<W> x, W hidden) const {
    if constexpr (!masked) return x;
    return last >= first_key + static_cast<W>(key) ? x : all_lanes(hidden);
  }
};

template <class T, bool masked>
void softmax_part(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, T* weights, Wide<T>* highest, Wide<T>* sum,
                  Wide<T>* correction) {
  using W = Wide<T>;
  using V = Lanes<W>;
  for (std::int64_t column = 0; column < block.columns; column += kLanes<W>) {
    const Sight<W, masked> sight(block, column);
    const W* from = scores + column;
    const auto score = [&](std::int64_t key) { return load<V>(from + key * kColumns) * block.scale; };
    const V before = load<V>(highest + column);
    V top = before, other = before;
    const std::int64_t even = block.keys / 2 * 2;
    for (std::int64_t key = 0; key < even; key += 2) {
      top = larger(top, sight.seen(key, score(key), kNoScore<W>));
      other = larger(other, sight.seen(key + 1, score(key + 1), kNoScore<W>));
    }
    if (even < block.keys) top = larger(top, sight.seen(even, score(even), kNoScore<W>));
    top = larger(top, other);
    const auto weight = [&](std::int64_t key) { return sight.seen(key, exp_of_negative(score(key) - top), W(0)); };
    V total{}, other_total{};
    for (std::int64_t key = 0; key < even; key += 2) {
      const V first = weight(key), second = weight(key + 1);
      total += first;
      other_total += second;
      if constexpr (sizeof(T) == sizeof(Bf16)) {
        store_pair(weights, key, column, first, second);
      } else {
        store(weights + key * kColumns + column, first);
        store(weights + (key + 1) * kColumns + column, second);
      }
    }
    if (even < block.keys) {
      const V last = weight(even);
      total += last;
      if constexpr (sizeof(T) == sizeof(Bf16)) {
        store_pair(weights, even, column, last, V{});
      } else {
        store(weights + even * kColumns + column, last);
      }
    }
    const V factor = exp_of_negative(before - top);
    store(correction + column, factor);
    store(sum + column, load<V>(sum + column) * factor + (total + other_total));
    store(highest + column, top);
  }
}

template <class T, bool masked>
void gradient_part(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, const Wide<T>* to_weights,
                   const Wide<T>* log_sum, const Wide<T>* delta, const GradientBlock<T>& out) {
  using W = Wide<T>;
  using V = Lanes<W>;
  for (std::int64_t column = 0; column < block.columns; column += kLanes<W>) {
    const Sight<W, masked> sight(block, column);
    const V log_total = load<V>(log_sum + column), less = load<V>(delta + column);
    const auto to_score = [&](std::int64_t key) {
      const std::int64_t at = key * kColumns + column;
      const V weight = sight.seen(key, exp_of_negative(load<V>(scores + at) * block.scale - log_total), W(0));
      const V gradient = weight * (load<V>(to_weights + at) - less) * block.scale;
      store_left(out.weights + at, weight);
      store_left(out.to_scores + at, gradient);
      return gradient;
    };
    std::int64_t key = 0;
    for (; key + 1 < block.keys; key += 2) {
      const V first = to_score(key), second = to_score(key + 1);
      if constexpr (sizeof(T) == sizeof(Bf16)) store_pair(out.right_scores, key, column, first, second);
    }
    if (key < block.keys) {
      const V last = to_score(key);
      if constexpr (sizeof(T) == sizeof(Bf16)) store_pair(out.right_scores, key, column, last, V{});
    }
  }
}

/// Two rows of 16 values as words, the first row in the low halves; a row of null is zero.
Words pair_of_rows(const Bf16* first, const Bf16* second) {
  const auto words = [](const Bf16* from) {
    return from == nullptr ? Words{} : __builtin_convertvector(load<Halves>(from), Words);
  };
  return words(first) | words(second) << 16U;
}

/// Words of rows as columns: to (n, .) at ld_to = from (m, n) at ld_from transposed, with zeros from m to the next
/// multiple of 16. Words are any 4 bytes; the pointers need no alignment.
void words_to_columns(std::int64_t m, std::int64_t n, const char* from, std::int64_t ld_from, char* to,
                      std::int64_t ld_to) {
  constexpr std::int64_t size = sizeof(std::uint32_t);
  for (std::int64_t i = 0; i < m; i += 16) {
    const std::int64_t count = m - i < 16 ? m - i : 16;
    const char* rows_from = from + i * ld_from * size;
    std::int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
      Words rows[16];
      for (int row = 0; row < 16; ++row) {
        rows[row] = row < count ? load<Words>(rows_from + (row * ld_from + j) * size) : Words{};
      }
      transpose(rows);
      for (int row = 0; row < 16; ++row) store(to + ((j + row) * ld_to + i) * size, rows[row]);
    }
    for (; j < n; ++j) {
      Words column{};
      for (int row = 0; row < count; ++row) {
        std::uint32_t word;
        __builtin_memcpy(&word, rows_from + (row * ld_from + j) * size, sizeof word);
        column[row] = word;
      }
      store(to + (j * ld_to + i) * size, column);
    }
  }
}

}  // namespace

template <class T>
void softmax_columns(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, T* weights, Wide<T>* highest,
                     Wide<T>* sum, Wide<T>* correction) {
  if (block.last != nullptr) {
    softmax_part<T, true>(block, scores, weights, highest, sum, correction);
  } else {
    softmax_part<T, false>(block, scores, weights, highest, sum, correction);
  }
}

template <class T>
void softmax_gradient_columns(const ScoreBlock<Wide<T>>& block, const Wide<T>* scores, const Wide<T>* to_weights,
                              const Wide<T>* log_sum, const Wide<T>* delta, const GradientBlock<T>& out) {
  if (block.last != nullptr) {
    gradient_part<T, true>(block, scores, to_weights, log_sum, delta, out);
  } else {
    gradient_part<T, false>(block, scores, to_weights, log_sum, delta, out);
  }
}

template <class W>
void scale_columns(std::int64_t rows, std::int64_t columns, const W* factor, W* y) {
  using V = Lanes<W>;
  for (std::int64_t row = 0; row < rows; ++row, y += kColumns) {
    for (std::int64_t column = 0; column < columns; column += kLanes<W>) {
      store(y + column, load<V>(y + column) * load<V>(factor + column));
    }
  }
}

template <class T>
void transpose_block(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to, std::int64_t ld_to) {
  if constexpr (sizeof(T) == sizeof(float)) {
    words_to_columns(m, n, reinterpret_cast<const char*>(from), ld_from, reinterpret_cast<char*>(to), ld_to);
  } else if constexpr (sizeof(T) == sizeof(Bf16)) {
    for (std::int64_t i = 0; i < m; i += 32) {
      const auto row_at = [&](std::int64_t row, std::int64_t j) {
        return i + row < m ? from + (i + row) * ld_from + j : nullptr;
      };
      std::int64_t j = 0;
      for (; j + 16 <= n; j += 16) {
        Words rows[16];
        for (int row = 0; row < 16; ++row) rows[row] = pair_of_rows(row_at(2 * row, j), row_at(2 * row + 1, j));
        transpose(rows);
        for (int row = 0; row < 16; ++row) store(to + (j + row) * ld_to + i, rows[row]);
      }
      for (; j < n; ++j) {
        for (int row = 0; row < 32; ++row) to[j * ld_to + i + row] = i + row < m ? *row_at(row, j) : Bf16{0};
      }
    }
  } else {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = 0; i < m; ++i) to[j * ld_to + i] = from[i * ld_from + j];
    }
  }
}

template <class T>
void pack_columns(std::int64_t m, std::int64_t n, const T* from, std::int64_t ld_from, T* to) {
  if constexpr (sizeof(T) == sizeof(double)) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = 0; i < padded_columns(m); ++i) to[j * kColumns + i] = i < m ? from[i * ld_from + j] : T(0);
    }
  } else {
    constexpr std::int64_t per_word = sizeof(float) / sizeof(T);
    words_to_columns(m, n / per_word, reinterpret_cast<const char*>(from), ld_from / per_word,
                     reinterpret_cast<char*>(to), kColumns);
  }
}

template <class T>
void columns_to_rows(std::int64_t m, std::int64_t n, const Wide<T>* from, T* to, std::int64_t ld_to) {
  std::int64_t j = 0;
  if constexpr (sizeof(Wide<T>) == sizeof(float)) {
    for (; j + 16 <= n; j += 16) {
      for (std::int64_t i = 0; i < m; i += 16) {
        Words rows[16];
        for (int row = 0; row < 16; ++row) rows[row] = load<Words>(from + (j + row) * kColumns + i);
        transpose(rows);
        const std::int64_t count = m - i < 16 ? m - i : 16;
        for (int row = 0; row < count; ++row) {
          store_left(to + (i + row) * ld_to + j, __builtin_bit_cast(Lanes<float>, rows[row]));
        }
      }
    }
  }
  for (; j < n; ++j) {
    for (std::int64_t i = 0; i < m; ++i) to[i * ld_to + j] = narrow_to<T>(from[j * kColumns + i]);
  }
}

template <class T>
void dot_rows(std::int64_t m, std::int64_t n, const T* x, std::int64_t ldx, const T* y, std::int64_t ldy,
              Wide<T>* sums) {
  for (std::int64_t row = 0; row < m; ++row, x += ldx, y += ldy) {
    Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += to_wide(x[i]) * to_wide(y[i]);
    sums[row] = sum;
  }
}

template <class T>
void subtract_row(std::int64_t n, const Wide<T>* x, const T* y, T* out) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) out[i] = narrow_to<T>(x[i] - to_wide(y[i]));
}

#define SHINE_ATTENTION_KERNELS(T)                                                                                 \
  template void softmax_columns<T>(const ScoreBlock<Wide<T>>&, const Wide<T>*, T*, Wide<T>*, Wide<T>*, Wide<T>*);  \
  template void softmax_gradient_columns<T>(const ScoreBlock<Wide<T>>&, const Wide<T>*, const Wide<T>*,            \
                                            const Wide<T>*, const Wide<T>*, const GradientBlock<T>&);              \
  template void transpose_block<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*, std::int64_t);          \
  template void pack_columns<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*);                           \
  template void columns_to_rows<T>(std::int64_t, std::int64_t, const Wide<T>*, T*, std::int64_t);                  \
  template void dot_rows<T>(std::int64_t, std::int64_t, const T*, std::int64_t, const T*, std::int64_t, Wide<T>*); \
  template void subtract_row<T>(std::int64_t, const Wide<T>*, const T*, T*);

SHINE_ATTENTION_KERNELS(float)
SHINE_ATTENTION_KERNELS(Bf16)
SHINE_ATTENTION_KERNELS(double)
template void scale_columns<float>(std::int64_t, std::int64_t, const float*, float*);
template void scale_columns<double>(std::int64_t, std::int64_t, const double*, double*);

}  // namespace shine::cpu
