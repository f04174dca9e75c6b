// What happens to a product's results on the way out: bias, accumulation, GELU; and GELU's derivative.
#pragma once
#include "cuda/device/common.cuh"
#include "cuda/device/gemm_product.cuh"

using engine::cuda::GemmBatch;
using engine::cuda::GemmProduct;

// ---- GELU (Hendrycks & Gimpel 2016, arXiv 1606.08415), by the formulas of csrc/cpu/vmath.h

// 1 / (1 + e^-x)
__device__ __forceinline__ float gemm_logistic(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }

__device__ __forceinline__ float gemm_gelu(float x) {
  const float c = fminf(5.5f, fmaxf(-5.5f, x)), z = c * c;
  float p = fmaf(1.11730189e-10f, z, -2.20053485e-08f);
  p = fmaf(p, z, 3.21247115e-06f);
  p = fmaf(p, z, 0.000168248443f);
  p = fmaf(p, z, 0.00449647075f);
  p = fmaf(p, z, 0.035728765f);
  p = fmaf(p, z, 0.3989422f);
  float q = fmaf(6.15644121e-05f, z, 0.00181889553f);
  q = fmaf(q, z, 0.0289784271f);
  q = fmaf(q, z, 0.256223707f);
  q = fmaf(q, z, 1.f);
  const float y = x * fmaxf(0.f, 0.5f + __fdividef(c * p, q));
  return x < -5.3f ? 0.f : y;
}
__device__ __forceinline__ float gemm_gelu_tanh(float x) {
  return x * gemm_logistic(x * fmaf(x * x, 0.0713548163f, 1.59576912f));
}
__device__ __forceinline__ float gemm_gelu_gradient(float x) {
  // cdf(-t) = e^(-t^2/2) (1 - w) P(w) with w = t / (t + 3.8). What t^2 loses by rounding comes back as a factor.
  const float t = fminf(14.f, fabsf(x)), square = t * t, lost = fmaf(t, t, -square);
  float e = expf(square * -0.5f);
  e = fmaf(e, lost * -0.5f, e);
  const float w = __fdividef(t, t + 3.8f);
  float p = fmaf(0.030771881f, w, -0.098557942f);
  p = fmaf(p, w, 0.058538426f);
  p = fmaf(p, w, 0.12404288f);
  p = fmaf(p, w, -0.056706011f);
  p = fmaf(p, w, -0.51514602f);
  p = fmaf(p, w, 1.078048f);
  p = fmaf(p, w, -1.0159804f);
  p = fmaf(p, w, 0.5f);
  const float tail = e * ((1.f - w) * p);
  return fmaf(x, e * 0.39894228f, x < 0.f ? tail : 1.f - tail);
}
__device__ __forceinline__ float gemm_gelu_tanh_gradient(float x) {
  // Bounded where the sigmoid is 0 or 1 for long, or the slope would overflow.
  const float square = x * x > 1e4f ? 1e4f : x * x;
  const float inner = fmaf(square, 0.0713548163f, 1.59576912f), slope = fmaf(square, 0.214064449f, 1.59576912f);
  const float s = gemm_logistic(x * inner), rest = gemm_logistic(-x * inner);
  return fmaf(x * slope, s * rest, s);
}

// ---- four neighbouring columns

__device__ __forceinline__ void load4(const float* p, float (&v)[4]) {
  const float4 x = *reinterpret_cast<const float4*>(p);
  v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
}
__device__ __forceinline__ void load4(const bf16* p, float (&v)[4]) {
  const uint2 x = *reinterpret_cast<const uint2*>(p);
  v[0] = __uint_as_float(x.x << 16), v[1] = __uint_as_float(x.x & 0xffff0000u);
  v[2] = __uint_as_float(x.y << 16), v[3] = __uint_as_float(x.y & 0xffff0000u);
}
// By name: the compiler splits vector stores if another path has a scalar store to the same place.
__device__ __forceinline__ void store4(float* p, const float (&v)[4]) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};\n" ::"l"(__cvta_generic_to_global(p)), "f"(v[0]), "f"(v[1]),
               "f"(v[2]), "f"(v[3])
               : "memory");
}
__device__ __forceinline__ void store4(bf16* p, const float (&v)[4]) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};\n" ::"l"(__cvta_generic_to_global(p)), "r"(pack_bf16(v[0], v[1])),
               "r"(pack_bf16(v[2], v[3]))
               : "memory");
}
// v += the `count` numbers at p.
template <class T>
__device__ __forceinline__ void add4(const T* p, int count, bool wide, float (&v)[4]) {
  if (wide) {
    float x[4];
    load4(p, x);
#pragma unroll
    for (int e = 0; e < 4; e++) v[e] += x[e];
  } else {
#pragma unroll
    for (int e = 0; e < 4; e++)
      if (e < count) v[e] += to_float(p[e]);
  }
}
template <class T>
__device__ __forceinline__ void put4(T* p, int count, bool wide, const float (&v)[4]) {
  if (wide) {
    store4(p, v);
  } else {
#pragma unroll
    for (int e = 0; e < 4; e++)
      if (e < count) p[e] = from_float<T>(v[e]);
  }
}

// The sums v of row `row`, columns `column` to `column` + 3 of C, to where they belong. column is a multiple of 4,
// below n; offset: where C begins.
template <class T>
__device__ __forceinline__ void finish4(const GemmProduct& q, int64_t offset, int64_t row, int64_t column,
                                        float (&v)[4]) {
  const int count = int(q.n - column < 4 ? q.n - column : 4);
  const bool wide = q.wide && count == 4;
  const int64_t at = offset + row * q.c_row + column;
  if (q.bias) add4(static_cast<const T*>(q.bias) + column, count, wide, v);
  if (q.c) {
    if (q.accumulate) add4(static_cast<const T*>(q.c) + at, count, wide, v);
    put4(static_cast<T*>(q.c) + at, count, wide, v);
  }
  if (!q.gelu) return;
#pragma unroll
  for (int e = 0; e < 4; e++) v[e] = q.gelu == 1 ? gemm_gelu(v[e]) : gemm_gelu_tanh(v[e]);
  put4(static_cast<T*>(q.activated) + at, count, wide, v);
}

// How far the operands of product `index` of a batch are from the first one's.
struct GemmOffsets {
  int64_t a, b, c;
};
__device__ __forceinline__ GemmOffsets offsets_of(const GemmBatch& batch, int64_t index) {
  GemmOffsets at = {0, 0, 0};
#pragma unroll 1
  for (int d = int(batch.ndim) - 1; d >= 0; d--) {
    const int64_t i = index % batch.shape[d];
    index /= batch.shape[d];
    at.a += i * batch.a[d];
    at.b += i * batch.b[d];
    at.c += i * batch.c[d];
  }
  return at;
}
