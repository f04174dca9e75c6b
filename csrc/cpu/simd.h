// The vocabulary of vectors. Kernels are written once against it; an ISA supplies width and a few instructions.
//
// f32, f64 and the integer vectors are the compiler's own vector types: + - * / & | ^ << >>, comparisons (which give an
// integer vector of all ones or zeros a lane) and `mask ? a : b` work on them directly. V<T> names the vector of T.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ENGINE_INLINE inline __attribute__((always_inline))
#define ENGINE_LAMBDA __attribute__((always_inline)) // between the parameters and the body of a lambda over vectors

namespace engine::ENGINE_ISA::simd {

// kFused: whether fma(a, b, c) rounds once. All ISAs that do give the same bits (cpu/wide.h).
#if defined(ENGINE_ISA_avx512)
constexpr int kVectorBytes = 64;
constexpr bool kFused = true;
#elif defined(ENGINE_ISA_avx2)
constexpr int kVectorBytes = 32;
constexpr bool kFused = true;
#elif defined(ENGINE_ISA_neon)
constexpr int kVectorBytes = 16;
constexpr bool kFused = true;
#else
constexpr int kVectorBytes = 16;
constexpr bool kFused = false;
#endif

template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using V = typename Vector<T>::type;
template <class T>
constexpr int kLanes = kVectorBytes / sizeof(T);
using f32 = V<float>;
using f64 = V<double>;
using i32 = V<int32_t>;
using u32 = V<uint32_t>;
using i64 = V<int64_t>;
using u64 = V<uint64_t>;

template <class T>
struct Unaligned {
  typedef T type __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};

template <class T>
ENGINE_INLINE
V<T> load(const T* p) { return *reinterpret_cast<const typename Unaligned<T>::type*>(p); }
template <class T>
ENGINE_INLINE
void store(T* p, V<T> v) { *reinterpret_cast<typename Unaligned<T>::type*>(p) = v; }
template <class T>
ENGINE_INLINE
V<T> broadcast(T x) { return x - V<T>{}; } // x - 0 keeps the sign of -0
template <class T>
ENGINE_INLINE
V<T> zero() { return V<T>{}; }

// The first n lanes (0 <= n <= kLanes); load_n gives 0 in the others, store_n leaves memory behind them alone.
#if defined(ENGINE_ISA_avx512)
ENGINE_INLINE
__mmask16 mask16(int64_t n) { return __mmask16(_bzhi_u32(0xffff, uint32_t(n))); }
ENGINE_INLINE
__mmask8 mask8(int64_t n) { return __mmask8(_bzhi_u32(0xff, uint32_t(n))); }
ENGINE_INLINE
f32 load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(mask16(n), p); }
ENGINE_INLINE
f64 load_n(const double* p, int64_t n) { return _mm512_maskz_loadu_pd(mask8(n), p); }
ENGINE_INLINE
i64 load_n(const int64_t* p, int64_t n) { return (i64)_mm512_maskz_loadu_epi64(mask8(n), p); }
ENGINE_INLINE
void store_n(float* p, f32 v, int64_t n) { _mm512_mask_storeu_ps(p, mask16(n), v); }
ENGINE_INLINE
void store_n(double* p, f64 v, int64_t n) { _mm512_mask_storeu_pd(p, mask8(n), v); }
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE
__m256i mask8(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
ENGINE_INLINE
__m256i mask4(int64_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
ENGINE_INLINE
f32 load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, mask8(n)); }
ENGINE_INLINE
f64 load_n(const double* p, int64_t n) { return _mm256_maskload_pd(p, mask4(n)); }
ENGINE_INLINE
i64 load_n(const int64_t* p, int64_t n) {
  return (i64)_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask4(n));
}
ENGINE_INLINE
void store_n(float* p, f32 v, int64_t n) { _mm256_maskstore_ps(p, mask8(n), v); }
ENGINE_INLINE
void store_n(double* p, f64 v, int64_t n) { _mm256_maskstore_pd(p, mask4(n), v); }
#elif defined(ENGINE_ISA_neon)
// No masks here: whole halves, then the odd lane.
ENGINE_INLINE
f32 load_n(const float* p, int64_t n) {
  if (n >= 4) return vld1q_f32(p);
  const float32x2_t none = vdup_n_f32(0);
  if (n >= 2) return vcombine_f32(vld1_f32(p), n == 3 ? vld1_lane_f32(p + 2, none, 0) : none);
  return vcombine_f32(n == 1 ? vld1_lane_f32(p, none, 0) : none, none);
}
ENGINE_INLINE
f64 load_n(const double* p, int64_t n) {
  if (n >= 2) return vld1q_f64(p);
  return n == 1 ? vld1q_lane_f64(p, vdupq_n_f64(0), 0) : vdupq_n_f64(0);
}
ENGINE_INLINE
i64 load_n(const int64_t* p, int64_t n) { return (i64)load_n(reinterpret_cast<const double*>(p), n); }
ENGINE_INLINE
void store_n(float* p, f32 v, int64_t n) {
  if (n >= 4) return vst1q_f32(p, v);
  if (n >= 2) vst1_f32(p, vget_low_f32(v));
  if (n == 3) vst1q_lane_f32(p + 2, v, 2);
  if (n == 1) vst1q_lane_f32(p, v, 0);
}
ENGINE_INLINE
void store_n(double* p, f64 v, int64_t n) {
  if (n >= 2) return vst1q_f64(p, v);
  if (n == 1) vst1q_lane_f64(p, v, 0);
}
#else
template <class T>
ENGINE_INLINE
V<T> load_n(const T* p, int64_t n) {
  V<T> v = {};
  for (int i = 0; i < kLanes<T>; i++)
    if (i < n) v[i] = p[i];
  return v;
}
template <class T>
ENGINE_INLINE
void store_n(T* p, V<T> v, int64_t n) {
  for (int i = 0; i < kLanes<T>; i++)
    if (i < n) p[i] = v[i];
}
#endif

// a * b + c in one rounding where the ISA has it (the x86-64 baseline has not: two).
#if defined(ENGINE_ISA_avx512)
ENGINE_INLINE
f32 fma(f32 a, f32 b, f32 c) { return _mm512_fmadd_ps(a, b, c); }
ENGINE_INLINE
f64 fma(f64 a, f64 b, f64 c) { return _mm512_fmadd_pd(a, b, c); }
// The masked forms: g++ 12 takes the undefined operand of the plain ones for an uninitialised variable.
ENGINE_INLINE
f32 sqrt(f32 a) { return _mm512_maskz_sqrt_ps(__mmask16(-1), a); }
ENGINE_INLINE
f64 sqrt(f64 a) { return _mm512_maskz_sqrt_pd(__mmask8(-1), a); }
ENGINE_INLINE
f32 round(f32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE
f32 fma(f32 a, f32 b, f32 c) { return _mm256_fmadd_ps(a, b, c); }
ENGINE_INLINE
f64 fma(f64 a, f64 b, f64 c) { return _mm256_fmadd_pd(a, b, c); }
ENGINE_INLINE
f32 sqrt(f32 a) { return _mm256_sqrt_ps(a); }
ENGINE_INLINE
f64 sqrt(f64 a) { return _mm256_sqrt_pd(a); }
ENGINE_INLINE
f32 round(f32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#elif defined(ENGINE_ISA_neon)
ENGINE_INLINE
f32 fma(f32 a, f32 b, f32 c) { return vfmaq_f32(c, a, b); }
ENGINE_INLINE
f64 fma(f64 a, f64 b, f64 c) { return vfmaq_f64(c, a, b); }
ENGINE_INLINE
f32 sqrt(f32 a) { return vsqrtq_f32(a); }
ENGINE_INLINE
f64 sqrt(f64 a) { return vsqrtq_f64(a); }
ENGINE_INLINE
f32 round(f32 a) { return vrndnq_f32(a); }
#else
ENGINE_INLINE
f32 fma(f32 a, f32 b, f32 c) { return a * b + c; }
ENGINE_INLINE
f64 fma(f64 a, f64 b, f64 c) { return a * b + c; }
template <class U>
ENGINE_INLINE
U each_sqrt(U a) {
  for (unsigned i = 0; i < sizeof(U) / sizeof(a[0]); i++)
    a[i] = sizeof(a[0]) == 4 ? __builtin_sqrtf(a[i]) : __builtin_sqrt(a[i]);
  return a;
}
ENGINE_INLINE
f32 sqrt(f32 a) { return each_sqrt(a); }
ENGINE_INLINE
f64 sqrt(f64 a) { return each_sqrt(a); }
// To the nearest integer, ties to even, for |a| < 2^22.
ENGINE_INLINE
f32 round(f32 a) { return (a + 12582912.0f) - 12582912.0f; }
#endif

// p = v past the caches, p a multiple of kVectorBytes; others see it after a fence(). (CPUs with NEON notice long runs
// of whole lines themselves, and then do not read what is overwritten: there it is a plain store.)
#if defined(ENGINE_ISA_avx512)
ENGINE_INLINE
void stream(float* p, f32 v) { _mm512_stream_ps(p, v); }
ENGINE_INLINE
void stream(double* p, f64 v) { _mm512_stream_pd(p, v); }
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE
void stream(float* p, f32 v) { _mm256_stream_ps(p, v); }
ENGINE_INLINE
void stream(double* p, f64 v) { _mm256_stream_pd(p, v); }
#elif defined(__x86_64__)
ENGINE_INLINE
void stream(float* p, f32 v) { _mm_stream_ps(p, v); }
ENGINE_INLINE
void stream(double* p, f64 v) { _mm_stream_pd(p, v); }
#else
template <class T>
ENGINE_INLINE
void stream(T* p, V<T> v) { store(p, v); }
#endif
ENGINE_INLINE
void fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// The larger and smaller of a and b; where one is NaN, b (as the x86 instructions do).
template <class U>
ENGINE_INLINE
U max(U a, U b) { return a > b ? a : b; }
template <class U>
ENGINE_INLINE
U min(U a, U b) { return a < b ? a : b; }
ENGINE_INLINE
f32 abs(f32 a) { return (f32)((i32)a & 0x7fffffff); }
ENGINE_INLINE
f64 abs(f64 a) { return (f64)((i64)a & 0x7fffffffffffffffll); }

ENGINE_INLINE
i32 to_int(f32 a) { return __builtin_convertvector(a, i32); } // towards zero
ENGINE_INLINE
f32 to_float(i32 a) { return __builtin_convertvector(a, f32); }

// The two halves of a vector.
template <class E, int N>
struct Halves {
  typedef E half __attribute__((vector_size(N / 2 * sizeof(E))));
  half low, high;
  template <class U>
  ENGINE_INLINE
  explicit Halves(U v) {
#if defined(ENGINE_ISA_avx512)
    if constexpr (sizeof(U) == 64) { // g++ would go through memory, and warns of the cast
      low = (half)_mm512_maskz_extractf64x4_pd(0xf, (f64)v, 0);
      high = (half)_mm512_maskz_extractf64x4_pd(0xf, (f64)v, 1);
      return;
    }
#endif
    __builtin_memcpy(&low, &v, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
  }
};
// The lanes of v, elements of type E, joined halves onto halves. This order depends on the width: sums and maxima are
// taken of a Wide (cpu/wide.h), whose order does not.
template <class E, class U, class Fn>
ENGINE_INLINE
E fold(U v, const Fn& join) {
  constexpr int n = sizeof(U) / sizeof(E);
  if constexpr (n == 2) {
    return join(E(v[0]), E(v[1]));
  } else {
    const Halves<E, n> h(v);
    return fold<E>(join(h.low, h.high), join);
  }
}

// Transposes a square of kLanes vectors.
#if defined(ENGINE_ISA_avx512)
// Masked by all ones, which the compiler drops: g++ 12 takes the plain ones for uses of an uninitialized variable.
constexpr uint16_t kAll16 = 0xffff;
constexpr uint8_t kAll8 = 0xff;
ENGINE_INLINE
void transpose(f32 (&r)[16]) {
  f32 t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) { // pairs of rows, element by element
    t[i] = _mm512_maskz_unpacklo_ps(kAll16, r[i], r[i + 1]);
    t[i + 1] = _mm512_maskz_unpackhi_ps(kAll16, r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) { // fours: r[i + c] holds column 4q + c of rows i .. i + 3 in quarter q
    r[i] = (f32)_mm512_maskz_unpacklo_pd(kAll8, (f64)t[i], (f64)t[i + 2]);
    r[i + 1] = (f32)_mm512_maskz_unpackhi_pd(kAll8, (f64)t[i], (f64)t[i + 2]);
    r[i + 2] = (f32)_mm512_maskz_unpacklo_pd(kAll8, (f64)t[i + 1], (f64)t[i + 3]);
    r[i + 3] = (f32)_mm512_maskz_unpackhi_pd(kAll8, (f64)t[i + 1], (f64)t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) { // the 4 x 4 of quarters
    const f32 a = _mm512_maskz_shuffle_f32x4(kAll16, r[c], r[c + 4], 0x44),
              b = _mm512_maskz_shuffle_f32x4(kAll16, r[c], r[c + 4], 0xee);
    const f32 d = _mm512_maskz_shuffle_f32x4(kAll16, r[c + 8], r[c + 12], 0x44),
              e = _mm512_maskz_shuffle_f32x4(kAll16, r[c + 8], r[c + 12], 0xee);
    t[c] = _mm512_maskz_shuffle_f32x4(kAll16, a, d, 0x88);
    t[c + 4] = _mm512_maskz_shuffle_f32x4(kAll16, a, d, 0xdd);
    t[c + 8] = _mm512_maskz_shuffle_f32x4(kAll16, b, e, 0x88);
    t[c + 12] = _mm512_maskz_shuffle_f32x4(kAll16, b, e, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) r[i] = t[i];
}
ENGINE_INLINE
void transpose(f64 (&r)[8]) {
  f64 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) { // t[i + c] holds column 2q + c of rows i, i + 1 in quarter q
    t[i] = _mm512_maskz_unpacklo_pd(kAll8, r[i], r[i + 1]);
    t[i + 1] = _mm512_maskz_unpackhi_pd(kAll8, r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int c = 0; c < 2; c++) {
    const f64 a = _mm512_maskz_shuffle_f64x2(kAll8, t[c], t[c + 2], 0x44),
              b = _mm512_maskz_shuffle_f64x2(kAll8, t[c], t[c + 2], 0xee);
    const f64 d = _mm512_maskz_shuffle_f64x2(kAll8, t[c + 4], t[c + 6], 0x44),
              e = _mm512_maskz_shuffle_f64x2(kAll8, t[c + 4], t[c + 6], 0xee);
    r[c] = _mm512_maskz_shuffle_f64x2(kAll8, a, d, 0x88);
    r[c + 2] = _mm512_maskz_shuffle_f64x2(kAll8, a, d, 0xdd);
    r[c + 4] = _mm512_maskz_shuffle_f64x2(kAll8, b, e, 0x88);
    r[c + 6] = _mm512_maskz_shuffle_f64x2(kAll8, b, e, 0xdd);
  }
}
#elif defined(ENGINE_ISA_avx2)
ENGINE_INLINE
void transpose(f32 (&r)[8]) {
  f32 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) { // pairs of rows, element by element
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) { // fours: r[i + c] holds column c and 4 + c of rows i .. i + 3
    r[i] = (f32)_mm256_unpacklo_pd((f64)t[i], (f64)t[i + 2]);
    r[i + 1] = (f32)_mm256_unpackhi_pd((f64)t[i], (f64)t[i + 2]);
    r[i + 2] = (f32)_mm256_unpacklo_pd((f64)t[i + 1], (f64)t[i + 3]);
    r[i + 3] = (f32)_mm256_unpackhi_pd((f64)t[i + 1], (f64)t[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    const f32 low = r[c], high = r[c + 4];
    r[c] = _mm256_permute2f128_ps(low, high, 0x20);
    r[c + 4] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}
ENGINE_INLINE
void transpose(f64 (&r)[4]) {
  const f64 a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
  const f64 c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
  r[0] = _mm256_permute2f128_pd(a, c, 0x20);
  r[1] = _mm256_permute2f128_pd(b, d, 0x20);
  r[2] = _mm256_permute2f128_pd(a, c, 0x31);
  r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
#elif defined(__x86_64__)
ENGINE_INLINE
void transpose(f32 (&r)[4]) {
  const f64 a = (f64)_mm_unpacklo_ps(r[0], r[1]), b = (f64)_mm_unpackhi_ps(r[0], r[1]);
  const f64 c = (f64)_mm_unpacklo_ps(r[2], r[3]), d = (f64)_mm_unpackhi_ps(r[2], r[3]);
  r[0] = (f32)_mm_unpacklo_pd(a, c);
  r[1] = (f32)_mm_unpackhi_pd(a, c);
  r[2] = (f32)_mm_unpacklo_pd(b, d);
  r[3] = (f32)_mm_unpackhi_pd(b, d);
}
ENGINE_INLINE
void transpose(f64 (&r)[2]) {
  const f64 a = r[0];
  r[0] = _mm_unpacklo_pd(a, r[1]);
  r[1] = _mm_unpackhi_pd(a, r[1]);
}
#elif defined(ENGINE_ISA_neon)
ENGINE_INLINE
void transpose(f32 (&r)[4]) {
  const f64 a = (f64)vzip1q_f32(r[0], r[1]), b = (f64)vzip2q_f32(r[0], r[1]);
  const f64 c = (f64)vzip1q_f32(r[2], r[3]), d = (f64)vzip2q_f32(r[2], r[3]);
  r[0] = (f32)vzip1q_f64(a, c);
  r[1] = (f32)vzip2q_f64(a, c);
  r[2] = (f32)vzip1q_f64(b, d);
  r[3] = (f32)vzip2q_f64(b, d);
}
ENGINE_INLINE
void transpose(f64 (&r)[2]) {
  const f64 a = r[0];
  r[0] = vzip1q_f64(a, r[1]);
  r[1] = vzip2q_f64(a, r[1]);
}
#else
template <class U, int N>
ENGINE_INLINE
void transpose(U (&r)[N]) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < i; j++) {
      const auto x = r[i][j];
      r[i][j] = r[j][i];
      r[j][i] = x;
    }
}
#endif

} // namespace engine::ENGINE_ISA::simd
