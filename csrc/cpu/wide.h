// The virtual vector in whose lanes every sum along a row runs, 64 bytes wide or N times that on each ISA: one
// register, or two, or four. Element i of the row belongs to lane i % (N * 64 / sizeof(T)), and the lanes are joined at
// the end halves onto halves. So the bits of a sum do not depend on the width of a register. Code that adds lanes up
// uses nothing else.
#pragma once
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

namespace simd {

template <class T, int N = 1>
struct Wide {
  static constexpr int kParts = N * 64 / kVectorBytes;
  V<T> part[kParts];

  ENGINE_INLINE
  explicit Wide(T x = 0) {
#pragma GCC unroll 16
    for (int p = 0; p < kParts; p++) part[p] = broadcast(x);
  }
  ENGINE_INLINE
  V<T>& operator[](int p) { return part[p]; }
};

template <class T, int N, class Fn>
ENGINE_INLINE
T fold(Wide<T, N> x, const Fn& join) {
#pragma GCC unroll 4
  for (int n = Wide<T, N>::kParts / 2; n > 0; n /= 2)
#pragma GCC unroll 8
    for (int p = 0; p < n; p++) x[p] = join(x[p], x[p + n]);
  return fold<T>(x[0], join);
}
template <class T, int N>
ENGINE_INLINE
T sum(const Wide<T, N>& x) {
  return fold(x, [](auto a, auto b) ENGINE_LAMBDA { return a + b; });
}
template <class T, int N>
ENGINE_INLINE
T highest(const Wide<T, N>& x) {
  return fold(x, [](auto a, auto b) ENGINE_LAMBDA { return max(a, b); });
}

} // namespace simd

// The integer of T's size: of comparisons and lane numbers.
template <class T>
struct Integer;
template <>
struct Integer<float> {
  using type = int32_t;
};
template <>
struct Integer<double> {
  using type = int64_t;
};
template <>
struct Integer<int64_t> {
  using type = int64_t;
};

// v in the first n lanes, `rest` in the others.
template <class T>
ENGINE_INLINE
simd::V<T> first_lanes(simd::V<T> v, int64_t n, T rest) {
  using I = typename Integer<T>::type;
  constexpr I numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return simd::load(numbers) < I(n) ? v : simd::broadcast(rest);
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

// fn(p, i, k) for each vector of a row of n elements: the one at i, of which k elements count, belongs to part p of a
// Wide<T, N>. rest_of_walk: from part p on, at the end of the row.
template <class T, int N, int p, class Fn>
ENGINE_INLINE
void rest_of_walk(int64_t i, int64_t n, const Fn& fn) {
  constexpr int L = simd::kLanes<T>;
  if (i >= n) return;
  fn(p, i, n - i < L ? n - i : int64_t(L));
  if constexpr (p + 1 < simd::Wide<T, N>::kParts) rest_of_walk<T, N, p + 1>(i + L, n, fn);
}
template <class T, int N = 1, class Fn>
ENGINE_INLINE
void walk(int64_t n, const Fn& fn) {
  constexpr int L = simd::kLanes<T>, P = simd::Wide<T, N>::kParts;
  int64_t i = 0;
  for (; i + P * L <= n; i += P * L)
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) fn(p, i + p * L, int64_t(L));
  rest_of_walk<T, N, 0>(i, n, fn);
}

} // namespace engine::ENGINE_ISA
