// Reductions and maps over one row of d contiguous elements. Sums run in the lanes of a virtual vector (cpu/wide.h):
// their order depends on d alone.
#pragma once
#include "cpu/vmath.h"
#include "cpu/wide.h"

namespace engine::ENGINE_ISA {

// The sum of f(i, k) over a row: f gives the vector at i, of which k elements count and the other lanes must be zeros.
template <class T, class F>
ENGINE_INLINE
T row_total(int64_t d, const F& f) {
  simd::Wide<T, 2> total;
  walk<T, 2>(d, [&](int p, int64_t i, int64_t k) ENGINE_LAMBDA { total[p] += f(i, k); });
  return simd::sum(total);
}
template <class T>
ENGINE_INLINE
T row_sum(const T* x, int64_t d) {
  return row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA { return load_some(x + i, k); });
}
template <class T>
ENGINE_INLINE
T row_dot(const T* a, const T* b, int64_t d) {
  simd::Wide<T, 2> total;
  walk<T, 2>(d, [&](int p, int64_t i, int64_t k)
                    ENGINE_LAMBDA { total[p] = simd::fma(load_some(a + i, k), load_some(b + i, k), total[p]); });
  return simd::sum(total);
}

// The largest element that is not a NaN; -inf for none. f(i, k) gives the vector at i, of which k elements count.
template <class T, class F>
ENGINE_INLINE
T row_highest(int64_t d, const F& f) {
  constexpr T lowest = -T(__builtin_inf());
  simd::Wide<T, 2> top(lowest);
  walk<T, 2>(d, [&](int p, int64_t i, int64_t k) ENGINE_LAMBDA {
    const simd::V<T> v = f(i, k);
    top[p] = simd::max(k < simd::kLanes<T> ? first_lanes(v, k, lowest) : v, top[p]);
  });
  return simd::highest(top);
}
template <class T>
ENGINE_INLINE
T row_max(const T* x, int64_t d) {
  return row_highest<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA { return load_some(x + i, k); });
}

// The sum of e^(x - shift); the exponentials go to `out` unless it is null (out may be x).
template <class T>
ENGINE_INLINE
T row_exp(const T* x, T shift, int64_t d, T* out) {
  const simd::V<T> s = simd::broadcast(shift);
  return row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    simd::V<T> e = simd::exp(load_some(x + i, k) - s);
    if (k < simd::kLanes<T>) e = first_lanes(e, k, T(0));
    if (out) store_some(out + i, e, k);
    return e;
  });
}

// y[i] = f(x[i]), y[i] = f(a[i], b[i])
template <class T, class F>
ENGINE_INLINE
void row_map(int64_t d, T* y, const T* x, const F& f) {
  constexpr int L = simd::kLanes<T>;
  int64_t i = 0;
  for (; i + L <= d; i += L) simd::store(y + i, f(simd::load(x + i)));
  if (i < d) simd::store_n(y + i, f(simd::load_n(x + i, d - i)), d - i);
}
template <class T, class F>
ENGINE_INLINE
void row_map(int64_t d, T* y, const T* a, const T* b, const F& f) {
  constexpr int L = simd::kLanes<T>;
  int64_t i = 0;
  for (; i + L <= d; i += L) simd::store(y + i, f(simd::load(a + i), simd::load(b + i)));
  if (i < d) simd::store_n(y + i, f(simd::load_n(a + i, d - i), simd::load_n(b + i, d - i)), d - i);
}

// Of kTogether rows of d elements, or fewer: each one's largest element, and the logarithm of the sum of e^(x - high).
// The logarithms are one vector's.
constexpr int64_t kTogether = 16;
template <class T>
ENGINE_INLINE
void row_logs(const T* x, int64_t rows, int64_t d, T (&high)[kTogether], T (&rest)[kTogether]) {
  T total[kTogether] = {};
  for (int64_t i = 0; i < rows; i++) {
    high[i] = row_max(x + i * d, d);
    total[i] = row_exp(x + i * d, high[i], d, static_cast<T*>(nullptr));
  }
  for (int64_t i = 0; i < rows; i += simd::kLanes<T>) simd::store(rest + i, simd::log(simd::load(total + i)));
}

} // namespace engine::ENGINE_ISA
