// Reductions and maps over one row of d contiguous elements. Sums run in two vectors of partial sums: their order
// depends on d and the width of a vector alone.
#pragma once
#include "cpu/simd.h"
#include "cpu/vmath.h"

namespace engine::ENGINE_ISA {

// The sum of f(i, k) over a row: f gives the vector at i, of which k elements count and the other lanes must be zeros.
template <class T, class F>
ENGINE_INLINE
T row_total(int64_t d, const F& f) {
  constexpr int L = simd::kLanes<T>;
  simd::V<T> a = simd::zero<T>(), b = simd::zero<T>();
  int64_t i = 0;
  for (; i + 2 * L <= d; i += 2 * L) {
    a += f(i, L);
    b += f(i + L, L);
  }
  for (; i < d; i += L) a += f(i, d - i < L ? d - i : L);
  return simd::sum(a + b);
}

// A vector at p of which n elements count: the plain load where that is all of them.
template <class T>
ENGINE_INLINE
simd::V<T> load_some(const T* p, int64_t n) { return n == simd::kLanes<T> ? simd::load(p) : simd::load_n(p, n); }
template <class T>
ENGINE_INLINE
void store_some(T* p, simd::V<T> v, int64_t n) {
  if (n == simd::kLanes<T>)
    simd::store(p, v);
  else
    simd::store_n(p, v, n);
}
// v in the first n lanes, `rest` in the others.
constexpr int32_t kLaneNumbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr int64_t kLaneNumbers64[] = {0, 1, 2, 3, 4, 5, 6, 7};
ENGINE_INLINE
simd::f32 first_lanes(simd::f32 v, int64_t n, float rest) {
  return simd::load(kLaneNumbers) < int32_t(n) ? v : simd::broadcast(rest);
}
ENGINE_INLINE
simd::f64 first_lanes(simd::f64 v, int64_t n, double rest) {
  return simd::load(kLaneNumbers64) < n ? v : simd::broadcast(rest);
}

template <class T>
ENGINE_INLINE
T row_sum(const T* x, int64_t d) {
  return row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA { return load_some(x + i, k); });
}
template <class T>
ENGINE_INLINE
T row_dot(const T* a, const T* b, int64_t d) {
  return row_total<T>(d, [&](int64_t i, int64_t k) ENGINE_LAMBDA { return load_some(a + i, k) * load_some(b + i, k); });
}

// The largest element; -inf for none. NaNs may or may not count.
template <class T>
ENGINE_INLINE
T row_max(const T* x, int64_t d) {
  constexpr int L = simd::kLanes<T>;
  const T lowest = -T(__builtin_inf());
  simd::V<T> a = simd::broadcast(lowest), b = a;
  int64_t i = 0;
  for (; i + 2 * L <= d; i += 2 * L) {
    a = simd::max(a, simd::load(x + i));
    b = simd::max(b, simd::load(x + i + L));
  }
  for (; i + L <= d; i += L) a = simd::max(a, simd::load(x + i));
  if (i < d) a = simd::max(a, first_lanes(simd::load_n(x + i, d - i), d - i, lowest));
  return simd::highest(simd::max(a, b));
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

ENGINE_INLINE
float scalar_log(float x) { return __builtin_logf(x); }
ENGINE_INLINE
double scalar_log(double x) { return __builtin_log(x); }

} // namespace engine::ENGINE_ISA
