// One row per sequence from a packed batch: its first token, or mean or maximum over its tokens; and the way between
// the rectangle (batch, length) with a mask and the packed batch. Sequence s of the packed (n, d) is rows cu[s] to cu[s
// + 1] - 1. An empty sequence cannot be pooled: it has no first token, mean or maximum.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/convert.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

using namespace simd;

static void check_sequences(const char* op, In cu_seqlens, int64_t total) {
  const int64_t b = cu_seqlens.size(0) - 1;
  const int32_t* cu = cu_seqlens.data<int32_t>();
  check_cu_seqlens(op, "cu_seqlens", cu, b, total);
  for (int64_t s = 0; s < b; s++)
    if (cu[s] == cu[s + 1])
      raise_value(op, "cu_seqlens", "no empty sequence", Text("one at position %lld", (long long)s));
}

// Sequences a chunk: by their mean length, so that the cut depends on shapes alone.
static int64_t sequence_grain(int64_t n, int64_t b, int64_t d) { return b > 0 ? row_grain((n / b + 1) * d) : 1; }

template <class T>
void pool_first(In input, In cu_seqlens, Out y) {
  const int64_t n = input.size(0), d = input.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_first", cu_seqlens, n);
  const int32_t* cu = cu_seqlens.data<int32_t>();
  for (int64_t s = 0; s < b; s++)
    __builtin_memcpy(y.data<T>() + s * d, input.data<T>() + cu[s] * d, size_t(d) * sizeof(T));
}

template <class T>
void pool_first_backward(In dy, In cu_seqlens, int64_t n, Out dinput) {
  const int64_t d = dy.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_first_backward", cu_seqlens, n);
  const int32_t* cu = cu_seqlens.data<int32_t>();
  const T* from = dy.data<T>();
  T* to = dinput.data<T>();
  parallel_ranges(b, sequence_grain(n, b, d), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
      for (int64_t c = 0; c < d; c++) to[cu[s] * d + c] = from[s * d + c];
      for (int64_t c = (cu[s] + 1) * d; c < cu[s + 1] * d; c++) to[c] = 0;
    }
  });
}

// Tokens are added in blocks of kBlock, so that the rounding of a long sequence stays small.
template <class T>
void pool_mean(In input, In cu_seqlens, Out y) {
  constexpr int64_t kBlock = 64;
  constexpr int L = kLanes<T>;
  const int64_t n = input.size(0), d = input.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_mean", cu_seqlens, n);
  const int32_t* cu = cu_seqlens.data<int32_t>();
  const T* from = input.data<T>();
  T* to = y.data<T>();
  parallel_ranges(b, sequence_grain(n, b, d), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
      const T scale = T(1) / T(cu[s + 1] - cu[s]);
      auto column = [&](int64_t c, auto read, auto sum) __attribute__((always_inline)) {
        for (int64_t block = cu[s]; block < cu[s + 1]; block += kBlock) {
          const int64_t stop = block + kBlock < cu[s + 1] ? block + kBlock : cu[s + 1];
          auto part = read(from + block * d + c);
          for (int64_t r = block + 1; r < stop; r++) part += read(from + r * d + c);
          sum += part;
        }
        return sum * scale;
      };
      int64_t c = 0;
      for (; c + L <= d; c += L)
        store(to + s * d + c, column(c, [](const T* p) __attribute__((always_inline)) { return load(p); }, zero<T>()));
      for (; c < d; c++) to[s * d + c] = column(c, [](const T* p) __attribute__((always_inline)) { return *p; }, T(0));
    }
  });
}

template <class T>
void pool_mean_backward(In dy, In cu_seqlens, int64_t n, Out dinput) {
  const int64_t d = dy.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_mean_backward", cu_seqlens, n);
  const int32_t* cu = cu_seqlens.data<int32_t>();
  const T* from = dy.data<T>();
  T* to = dinput.data<T>();
  parallel_ranges(b, sequence_grain(n, b, d), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
      const T scale = T(1) / T(cu[s + 1] - cu[s]);
      for (int64_t r = cu[s]; r < cu[s + 1]; r++)
        for (int64_t c = 0; c < d; c++) to[r * d + c] = from[s * d + c] * scale;
    }
  });
}

// index: the row of each maximum, the first of equal ones; a NaN counts as larger than all numbers.
template <class T>
void pool_max(In input, In cu_seqlens, Out y, Out index) {
  const int64_t n = input.size(0), d = input.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_max", cu_seqlens, n);
  const int32_t* cu = cu_seqlens.data<int32_t>();
  const T* from = input.data<T>();
  parallel_ranges(b, sequence_grain(n, b, d), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++) {
      T* best = y.data<T>() + s * d;
      int32_t* at = index.data<int32_t>() + s * d;
      for (int64_t c = 0; c < d; c++) {
        best[c] = from[cu[s] * d + c];
        at[c] = cu[s];
      }
      for (int32_t r = cu[s] + 1; r < cu[s + 1]; r++) {
        const T* x = from + r * d;
        for (int64_t c = 0; c < d; c++) {
          const bool better = x[c] > best[c] || (x[c] != x[c] && best[c] == best[c]);
          best[c] = better ? x[c] : best[c];
          at[c] = better ? r : at[c];
        }
      }
    }
  });
}

template <class T>
void pool_max_backward(In dy, In index, In cu_seqlens, int64_t n, Out dinput) {
  const int64_t d = dy.size(1), b = cu_seqlens.size(0) - 1;
  check_sequences("pool_max_backward", cu_seqlens, n);
  const int32_t *cu = cu_seqlens.data<int32_t>(), *at = index.data<int32_t>();
  const T* from = dy.data<T>();
  T* to = dinput.data<T>();
  parallel_ranges(b, sequence_grain(n, b, d), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; s++)
      for (int32_t r = cu[s]; r < cu[s + 1]; r++)
        for (int64_t c = 0; c < d; c++) to[r * d + c] = at[s * d + c] == r ? from[s * d + c] : T(0);
  });
}

// ---------------------------------------------------------------- masks

template <class T>
static double number(T x) {
  return double(widen(x));
}

template <class T>
void mask_seqlens(In mask, Out cu_seqlens, Out max_seqlen) {
  const int64_t b = mask.size(0), l = mask.size(1);
  const T* m = mask.data<T>();
  int32_t* cu = cu_seqlens.data<int32_t>();
  int64_t total = 0, longest = 0;
  for (int64_t i = 0; i < b * l; i++)
    if (number(m[i]) != 0 && number(m[i]) != 1)
      raise_value("mask_seqlens", "attention_mask", "0 (padding) and 1",
                  Text("%g at row %lld, column %lld", double(number(m[i])), (long long)(i / l), (long long)(i % l)));
  if (b * l > INT32_MAX)
    raise_value("mask_seqlens", "attention_mask", "at most 2^31 - 1 positions", Text("%lld", (long long)(b * l)));
  cu[0] = 0;
  for (int64_t s = 0; s < b; s++) {
    int64_t length = 0;
    for (int64_t c = 0; c < l; c++) length += number(m[s * l + c]) != 0;
    total += length;
    longest = length > longest ? length : longest;
    cu[s + 1] = int32_t(total);
  }
  *max_seqlen.data<int64_t>() = longest;
}

template <class T>
void mask_indices(In mask, int64_t n, Out indices, Out position_ids) {
  const int64_t b = mask.size(0), l = mask.size(1);
  const T* m = mask.data<T>();
  int64_t *at = indices.data<int64_t>(), *position = position_ids.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < b * l; i++) total += number(m[i]) != 0;
  if (total != n)
    raise_value("mask_indices", "n", Text("%lld, the mask's tokens", (long long)total), Text("%lld", (long long)n));
  for (int64_t s = 0, k = 0; s < b; s++)
    for (int64_t c = 0, p = 0; c < l; c++)
      if (number(m[s * l + c]) != 0) {
        at[k] = s * l + c;
        position[k++] = p++;
      }
}

} // namespace engine::ENGINE_ISA

#define FAMILY pooling
#include "cpu/instances.h"
