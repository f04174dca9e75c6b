// The vocabulary of vectors. Kernels are written once against it; an ISA supplies width and a few instructions.
//
// f32, f64 and the integer vectors are the compiler's own vector types: + - * / & | ^ << >>, comparisons (which give an
// integer vector of all ones or zeros a lane) and `mask ? a : b` work on them directly. V<T> names the vector of T.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ENGINE_INLINE inline __attribute__((always_inline))

namespace engine::ENGINE_ISA::simd {

#if defined(ENGINE_ISA_avx512)
constexpr int kVectorBytes = 64;
#elif defined(ENGINE_ISA_avx2)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T> struct Vector { typedef T type __attribute__((vector_size(kVectorBytes))); };
template <class T> using V = typename Vector<T>::type;
template <class T> constexpr int kLanes = kVectorBytes / sizeof(T);
using f32 = V<float>;
using f64 = V<double>;
using i32 = V<int32_t>;
using u32 = V<uint32_t>;
using i64 = V<int64_t>;
using u64 = V<uint64_t>;

template <class T> struct Unaligned { typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias)); };

template <class T> ENGINE_INLINE V<T> load(const T* p) { return *reinterpret_cast<const typename Unaligned<T>::type*>(p); }
template <class T> ENGINE_INLINE void store(T* p, V<T> v) { *reinterpret_cast<typename Unaligned<T>::type*>(p) = v; }
template <class T> ENGINE_INLINE V<T> broadcast(T x) { return x - V<T>{}; } // x - 0 keeps the sign of -0
template <class T> ENGINE_INLINE V<T> zero() { return V<T>{}; }

// The first n lanes (0 <= n <= kLanes); load_n gives 0 in the others, store_n leaves memory behind them alone.
#if defined(ENGINE_ISA_avx512)
ENGINE_INLINE __mmask16 mask16(int64_t n) { return __mmask16(_bzhi_u32(0xffff, uint32_t(n))); }
ENGINE_INLINE __mmask8 mask8(int64_t n) { return __mmask8(_bzhi_u32(0xff, uint32_t(n))); }
ENGINE_INLINE f32 load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(mask16(n), p); }
ENGINE_INLINE f64 load_n(const double* p, int64_t n) { return _mm512_maskz_loadu_pd(mask8(n), p); }
ENGINE_INLINE void store_n(float* p, f32 v, int64_t n) { _mm512_mask_storeu_ps(p, mask16(n), v); }
ENGINE_INLINE void store_n(double* p, f64 v, int64_t n) { _mm512_mask_storeu_pd(p, mask8(n), v); }
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE __m256i mask8(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ENGINE_INLINE __m256i mask4(int64_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
ENGINE_INLINE f32 load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, mask8(n)); }
ENGINE_INLINE f64 load_n(const double* p, int64_t n) { return _mm256_maskload_pd(p, mask4(n)); }
ENGINE_INLINE void store_n(float* p, f32 v, int64_t n) { _mm256_maskstore_ps(p, mask8(n), v); }
ENGINE_INLINE void store_n(double* p, f64 v, int64_t n) { _mm256_maskstore_pd(p, mask4(n), v); }
#else
template <class T> ENGINE_INLINE V<T> load_n(const T* p, int64_t n) {
  V<T> v = {};
  for (int i = 0; i < kLanes<T>; i++)
    if (i < n) v[i] = p[i];
  return v;
}
template <class T> ENGINE_INLINE void store_n(T* p, V<T> v, int64_t n) {
  for (int i = 0; i < kLanes<T>; i++)
    if (i < n) p[i] = v[i];
}
#endif

// a * b + c in one rounding where the ISA has it (the x86-64 baseline has not: two).
#if defined(ENGINE_ISA_avx512)
ENGINE_INLINE f32 fma(f32 a, f32 b, f32 c) { return _mm512_fmadd_ps(a, b, c); }
ENGINE_INLINE f64 fma(f64 a, f64 b, f64 c) { return _mm512_fmadd_pd(a, b, c); }
ENGINE_INLINE f32 sqrt(f32 a) { return _mm512_sqrt_ps(a); }
ENGINE_INLINE f64 sqrt(f64 a) { return _mm512_sqrt_pd(a); }
ENGINE_INLINE f32 round(f32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE f32 fma(f32 a, f32 b, f32 c) { return _mm256_fmadd_ps(a, b, c); }
ENGINE_INLINE f64 fma(f64 a, f64 b, f64 c) { return _mm256_fmadd_pd(a, b, c); }
ENGINE_INLINE f32 sqrt(f32 a) { return _mm256_sqrt_ps(a); }
ENGINE_INLINE f64 sqrt(f64 a) { return _mm256_sqrt_pd(a); }
ENGINE_INLINE f32 round(f32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#else
ENGINE_INLINE f32 fma(f32 a, f32 b, f32 c) { return a * b + c; }
ENGINE_INLINE f64 fma(f64 a, f64 b, f64 c) { return a * b + c; }
template <class U> ENGINE_INLINE U each_sqrt(U a) {
  for (unsigned i = 0; i < sizeof(U) / sizeof(a[0]); i++) a[i] = sizeof(a[0]) == 4 ? __builtin_sqrtf(a[i]) : __builtin_sqrt(a[i]);
  return a;
}
ENGINE_INLINE f32 sqrt(f32 a) { return each_sqrt(a); }
ENGINE_INLINE f64 sqrt(f64 a) { return each_sqrt(a); }
// To the nearest integer, ties to even, for |a| < 2^22.
ENGINE_INLINE f32 round(f32 a) { return (a + 12582912.0f) - 12582912.0f; }
#endif

// The larger and smaller of a and b; where one is NaN, b (as the x86 instructions do).
template <class U> ENGINE_INLINE U max(U a, U b) { return a > b ? a : b; }
template <class U> ENGINE_INLINE U min(U a, U b) { return a < b ? a : b; }
ENGINE_INLINE f32 abs(f32 a) { return (f32)((i32)a & 0x7fffffff); }
ENGINE_INLINE f64 abs(f64 a) { return (f64)((i64)a & 0x7fffffffffffffffll); }

ENGINE_INLINE i32 to_int(f32 a) { return __builtin_convertvector(a, i32); }     // towards zero
ENGINE_INLINE f32 to_float(i32 a) { return __builtin_convertvector(a, f32); }

// Sums and maxima of the lanes, halves onto halves: an order that depends on the width alone.
template <class U> ENGINE_INLINE auto sum(U v) -> decltype(+v[0]) {
  constexpr int n = sizeof(U) / sizeof(v[0]);
  decltype(+v[0]) part[n];
  __builtin_memcpy(part, &v, sizeof v);
  for (int width = n / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) part[i] += part[i + width];
  return part[0];
}
template <class U> ENGINE_INLINE auto highest(U v) -> decltype(+v[0]) {
  constexpr int n = sizeof(U) / sizeof(v[0]);
  decltype(+v[0]) part[n];
  __builtin_memcpy(part, &v, sizeof v);
  for (int width = n / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) part[i] = part[i] > part[i + width] ? part[i] : part[i + width];
  return part[0];
}

} // namespace engine::ENGINE_ISA::simd
