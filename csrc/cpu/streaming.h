// Results larger than the caches go past them: a plain store would first read the line that it overwrites, which makes
// three trips through memory of two.
#pragma once
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

constexpr int64_t kStreamBytes = 32 << 20; // what a last-level cache holds

// Whether y (n elements in rows of `row`) is worth it and allows it: every row starts at a multiple of a vector.
template <class T>
ENGINE_INLINE
bool goes_past_caches(const T* y, int64_t n, int64_t row) {
  return n * int64_t(sizeof(T)) >= kStreamBytes && row % simd::kLanes<T> == 0 &&
         reinterpret_cast<uintptr_t>(y) % simd::kVectorBytes == 0;
}

// p = v; past the caches p must be a multiple of a vector, and fence() come before another thread reads it.
template <class T>
ENGINE_INLINE
void put(T* p, simd::V<T> v, bool past) {
  if (past)
    simd::stream(p, v);
  else
    simd::store(p, v);
}

} // namespace engine::ENGINE_ISA
