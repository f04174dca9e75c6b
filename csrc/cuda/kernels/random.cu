// Random numbers with the bits of csrc/cpu/kernels/random.cc. A thread makes one draw and writes what it serves: the
// elements of float numbers that lie sixteen apart within 64, or two 64-bit numbers within 32. A warp's writes fill
// whole 32-byte sectors. Nothing is fused, so that each step is rounded as on the CPU.
#include "cuda/device/common.cuh"
#include "cuda/device/philox.cuh"

struct Key {
  uint32_t k0, k1, call;
  __device__ __forceinline__ Words draw(int64_t group) const {
    return philox(uint32_t(group), uint32_t(uint64_t(group) >> 32), call, 0, k0, k1);
  }
};

// f(element, words, w) for the elements of each draw: kEach of them, sixteen apart.
template <int kEach, class F>
__device__ __forceinline__ void each_draw(int64_t n, const Key& key, const F& f) {
  constexpr int kBlock = 16 * kEach;
  const int64_t groups = (n + kBlock - 1) / kBlock * 16;
  for (int64_t g = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; g < groups; g += int64_t(gridDim.x) * blockDim.x)
    f(g / 16 * kBlock + g % 16, key.draw(g));
}

__device__ __forceinline__ float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float unit(uint32_t word) { return mul(float(word >> 8), 0x1p-24f); } // [0, 1)

// What rounding to bf16 would lift to the upper end of the interval stays below it.
__device__ __forceinline__ void put_below(float* p, float x) { *p = x; }
__device__ __forceinline__ void put_below(bf16* p, float x) { *p = __float2bfloat16_rd(x); }

template <class T>
__device__ __forceinline__ void uniform(T* out, int64_t n, float base, float width, const Key& key) {
  each_draw<4>(n, key, [&](int64_t e, const Words& words) {
#pragma unroll
    for (int w = 0; w < 4; w++)
      if (e + 16 * w < n) put_below(out + e + 16 * w, add(mul(unit(words.w[w]), width), base));
  });
}

template <class T>
__device__ __forceinline__ void bernoulli(const T* input, T* y, int64_t n, const Key& key, Fault* f, int site) {
  each_draw<4>(n, key, [&](int64_t e, const Words& words) {
#pragma unroll
    for (int w = 0; w < 4; w++) {
      const int64_t i = e + 16 * w;
      if (i >= n) continue;
      const float p = to_float(input[i]);
      if (!(p >= 0 && p <= 1)) fault(f, site, i, __double_as_longlong(double(p)), 1);
      y[i] = from_float<T>(unit(words.w[w]) < p ? 1.f : 0.f);
    }
  });
}

// ---- normal numbers (Box and Muller 1958); the steps of the CPU's, one by one

// (a + 1/2) / 2^32, rounded to float: fine where it is small.
__device__ __forceinline__ float fraction(uint32_t a) {
  return add(add(mul(float(a >> 16), 0x1p-16f), mul(float(a & 0xffffu), 0x1p-32f)), 0x1p-33f);
}
// log((a + 1/2) / 2^32) (coefficients: Cephes, logf). Above sqrt(1/2) it is taken of 1 minus what a lacks.
__device__ __forceinline__ float log_fraction(uint32_t a) {
  const int bits = __float_as_int(fraction(a)) - 0x3f3504f3;
  const bool high = a > 0xb504f333u;
  const float mantissa = __int_as_float((bits & 0x7fffff) + 0x3f3504f3);
  const float e = high ? 0.f : float(bits >> 23), f = high ? -fraction(~a) : add(mantissa, -1.f), z = mul(f, f);
  float p = add(mul(7.0376836292e-2f, f), -1.1514610310e-1f);
  p = add(mul(p, f), 1.1676998740e-1f);
  p = add(mul(p, f), -1.2420140846e-1f);
  p = add(mul(p, f), 1.4249322787e-1f);
  p = add(mul(p, f), -1.6668057665e-1f);
  p = add(mul(p, f), 2.0000714765e-1f);
  p = add(mul(p, f), -2.4999993993e-1f);
  p = add(mul(p, f), 3.3333331174e-1f);
  const float low = add(mul(mul(p, f), z), -mul(e, 2.12194440e-4f));
  return add(mul(e, 0.693359375f), add(f, add(low, -mul(0.5f, z))));
}
// Two normal numbers from two words: the radius from one, the angle from the other.
__device__ __forceinline__ float2 normal_pair(uint32_t a, uint32_t b) {
  const float radius = __fsqrt_rn(mul(-2.f, log_fraction(a)));
  // b / 2^32 of a turn = quarter turns + a rest in [-1/8, 1/8) turn (series: Cephes, sinf and cosf).
  const uint32_t quarter = (b + 0x20000000u) >> 30;
  const float x = mul(float(int32_t(b - (quarter << 30))), 1.46291807926715968e-9f), z = mul(x, x); // pi / 2^31
  float s = add(mul(-1.9515295891e-4f, z), 8.3321608736e-3f);
  s = add(mul(s, z), -1.6666654611e-1f);
  const float sine = add(mul(mul(s, z), x), x);
  float c = add(mul(2.443315711809948e-5f, z), -1.388731625493765e-3f);
  c = add(mul(c, z), 4.166664568298827e-2f);
  const float cosine = add(add(mul(mul(c, z), z), -mul(0.5f, z)), 1.f);
  const bool odd = quarter & 1;
  const uint32_t flip_cos = ((quarter + 1) & 2) << 30, flip_sin = (quarter & 2) << 30;
  return make_float2(mul(radius, __uint_as_float(__float_as_uint(odd ? sine : cosine) ^ flip_cos)),
                     mul(radius, __uint_as_float(__float_as_uint(odd ? cosine : sine) ^ flip_sin)));
}

template <class T>
__device__ __forceinline__ void normal(T* out, int64_t n, float mean, float std, const Key& key) {
  each_draw<4>(n, key, [&](int64_t e, const Words& words) {
#pragma unroll
    for (int w = 0; w < 4; w += 2) {
      const float2 pair = normal_pair(words.w[w], words.w[w + 1]);
      if (e + 16 * w < n) out[e + 16 * w] = from_float<T>(add(mul(pair.x, std), mean));
      if (e + 16 * w + 16 < n) out[e + 16 * w + 16] = from_float<T>(add(mul(pair.y, std), mean));
    }
  });
}

// ---- integers: 64 random bits scaled to [0, range)

template <class T>
__device__ __forceinline__ T from_integer(int64_t x) {
  return static_cast<T>(x);
}
template <>
__device__ __forceinline__ bf16 from_integer<bf16>(int64_t x) {
  return __float2bfloat16_rn(float(x));
}
template <class T>
__device__ __forceinline__ void randint(T* out, int64_t n, int64_t low, uint64_t range, const Key& key) {
  each_draw<2>(n, key, [&](int64_t e, const Words& words) {
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const uint64_t bits = uint64_t(words.w[2 * k + 1]) << 32 | words.w[2 * k];
      if (e + 16 * k < n) out[e + 16 * k] = from_integer<T>(int64_t(uint64_t(low) + __umul64hi(bits, range)));
    }
  });
}

#define RANDOM(T, suffix)                                                                                     \
  extern "C" __global__ void __launch_bounds__(256)                                                           \
      uniform_##suffix(T* out, int64_t n, float base, float width, uint32_t k0, uint32_t k1, uint32_t call) { \
    uniform(out, n, base, width, {k0, k1, call});                                                             \
  }                                                                                                           \
  extern "C" __global__ void __launch_bounds__(256)                                                           \
      normal_##suffix(T* out, int64_t n, float mean, float std, uint32_t k0, uint32_t k1, uint32_t call) {    \
    normal(out, n, mean, std, {k0, k1, call});                                                                \
  }                                                                                                           \
  extern "C" __global__ void __launch_bounds__(256) bernoulli_##suffix(                                       \
      const T* input, T* y, int64_t n, uint32_t k0, uint32_t k1, uint32_t call, Fault* f, int32_t site) {     \
    bernoulli(input, y, n, {k0, k1, call}, f, site);                                                          \
  }
FOR_FLOAT(RANDOM)
#define RANDINT(T, suffix)                                                                                        \
  extern "C" __global__ void __launch_bounds__(256)                                                               \
      randint_##suffix(T* out, int64_t n, int64_t low, uint64_t range, uint32_t k0, uint32_t k1, uint32_t call) { \
    randint(out, n, low, range, {k0, k1, call});                                                                  \
  }
FOR_REAL(RANDINT)
