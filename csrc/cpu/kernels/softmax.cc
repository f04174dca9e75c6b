// softmax, log_softmax and logsumexp over the last dimension of (n, d), forward and backward.
//
// A row is read twice from memory close by: its maximum, then exponentials and their sum. A row of nothing but -inf
// gives NaNs (logsumexp: -inf), as does one with a NaN or +inf (logsumexp: +inf for +inf without a NaN).
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace engine::ENGINE_ISA {

using namespace simd;

template <class T>
void softmax(In input, Out y) {
  const int64_t d = input.size(-1);
  parallel_ranges(input.rows(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      T* out = y.data<T>() + r * d;
      const T total = row_exp(input.data<T>() + r * d, row_max(input.data<T>() + r * d, d), d, out);
      row_map(d, out, out, [f = broadcast(T(1) / total)](V<T> v) ENGINE_LAMBDA { return v * f; });
    }
  });
}

// dx = y * (dy - sum(dy * y))
template <class T>
void softmax_backward(In dy, In y, Out dinput) {
  const int64_t d = y.size(-1);
  parallel_ranges(y.rows(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T *g = dy.data<T>() + r * d, *p = y.data<T>() + r * d;
      const V<T> s = broadcast(row_dot(g, p, d));
      row_map(d, dinput.data<T>() + r * d, g, p, [s](V<T> a, V<T> b) ENGINE_LAMBDA { return b * (a - s); });
    }
  });
}

// fn(r, high, rest) for each row r of d elements: see row_logs. Rows that together stay in the cache until their turn.
template <class T, class Fn>
static void for_each_row_logs(const T* x, int64_t n, int64_t d, const Fn& fn) {
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    const int64_t together = d <= 1024 ? kTogether : 1;
    T high[kTogether], rest[kTogether];
    for (int64_t r = begin; r < end; r += together) {
      const int64_t rows = end - r < together ? end - r : together;
      row_logs(x + r * d, rows, d, high, rest);
      for (int64_t i = 0; i < rows; i++) fn(r + i, high[i], rest[i]);
    }
  });
}

template <class T>
void log_softmax(In input, Out y) {
  const int64_t d = input.size(-1);
  const T* x = input.data<T>();
  for_each_row_logs(x, input.rows(), d, [&](int64_t r, T high, T rest) {
    row_map(d, y.data<T>() + r * d, x + r * d,
            [m = broadcast(high), l = broadcast(rest)](V<T> v) ENGINE_LAMBDA { return (v - m) - l; });
  });
}

// dx = dy - softmax(x) * sum(dy), with softmax(x) = e^y
template <class T>
void log_softmax_backward(In dy, In y, Out dinput) {
  const int64_t d = y.size(-1);
  parallel_ranges(y.rows(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T *g = dy.data<T>() + r * d, *p = y.data<T>() + r * d;
      const V<T> s = broadcast(row_sum(g, d));
      row_map(d, dinput.data<T>() + r * d, g, p, [s](V<T> a, V<T> b) ENGINE_LAMBDA { return a - simd::exp(b) * s; });
    }
  });
}

// The largest number of a row, which `row_max` takes without regard to NaNs; NaN if there is one.
template <class T>
static T unless_nan(T high, const T* x, int64_t d) {
  for (int64_t i = 0; i < d; i++)
    if (x[i] != x[i]) return x[i];
  return high;
}
template <class T>
void logsumexp(In input, Out y) {
  const int64_t d = input.size(-1);
  const T* x = input.data<T>();
  for_each_row_logs(x, input.rows(), d, [&](int64_t r, T high, T rest) {
    // An infinite maximum is the result, unless there is a NaN.
    y.data<T>()[r] = high - high != 0 ? unless_nan(high, x + r * d, d) : high + rest;
  });
}

// dx = dy * e^(x - y); 0 in a row of nothing but -inf
template <class T>
void logsumexp_backward(In dy, In input, In y, Out dinput) {
  const int64_t d = input.size(-1);
  parallel_ranges(input.rows(), row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T total = y.data<T>()[r];
      const V<T> g = broadcast(dy.data<T>()[r]), t = broadcast(total == -T(__builtin_inf()) ? T(0) : total);
      row_map(d, dinput.data<T>() + r * d, input.data<T>() + r * d,
              [g, t](V<T> v) ENGINE_LAMBDA { return g * simd::exp(v - t); });
    }
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY softmax
#include "cpu/instances.h"
