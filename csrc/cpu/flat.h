// Loops over flat, contiguous arrays: a function of vectors, applied element by element or summed up.
#pragma once
#include "cpu/parallel.h"
#include "cpu/streaming.h"

namespace engine::ENGINE_ISA {

// y[i] = f(x[i]) and y[i] = f(a[i], b[i]) for i < n; f is given vectors. Lanes behind the end are given as zeros.
template <class T, class F>
inline void flat_map(int64_t n, T* y, const T* x, const F& f) {
  constexpr int L = simd::kLanes<T>;
  const bool past = goes_past_caches(y, n, kGrain);
  parallel_ranges(n, kGrain, [&](int64_t i, int64_t end) {
    for (; i + L <= end; i += L) put(y + i, f(simd::load(x + i)), past);
    if (i < end) simd::store_n(y + i, f(simd::load_n(x + i, end - i)), end - i);
    if (past) simd::fence();
  });
}
template <class T, class F>
inline void flat_map(int64_t n, T* y, const T* a, const T* b, const F& f) {
  constexpr int L = simd::kLanes<T>;
  const bool past = goes_past_caches(y, n, kGrain);
  parallel_ranges(n, kGrain, [&](int64_t i, int64_t end) {
    for (; i + L <= end; i += L) put(y + i, f(simd::load(a + i), simd::load(b + i)), past);
    if (i < end) {
      const int64_t k = end - i;
      simd::store_n(y + i, f(simd::load_n(a + i, k), simd::load_n(b + i, k)), k);
    }
    if (past) simd::fence();
  });
}

} // namespace engine::ENGINE_ISA
