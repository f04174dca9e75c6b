// What device code shares: element types, 16-byte accesses, sums within warps and blocks, faults. Device code only.
//
// Kernels are bodies (templates over the element type) with extern "C" wrappers, a name for each type:
//
//   template <class T>
//   __device__ void relu(const T* x, T* y, int64_t n) { … }
//   #define RELU(T, suffix) \
//     extern "C" __global__ void __launch_bounds__(256) relu_##suffix(const T* x, T* y, int64_t n) { relu(x, y, n); }
//   FOR_FLOAT(RELU)
//
// Everything is computed in float32: 16-bit values are widened when read and rounded to nearest when written.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include "cuda/device/groups.h"

using bf16 = __nv_bfloat16;
using f16 = __half;

constexpr unsigned kFullWarp = 0xffffffffu;

// ---- element types

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(f16 x) { return __half2float(x); }
template <class T>
__device__ __forceinline__ float to_float(T x) {
  return static_cast<float>(x);
}

template <class T>
__device__ __forceinline__ T from_float(float x) {
  return static_cast<T>(x);
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ f16 from_float<f16>(float x) {
  return __float2half_rn(x);
}

// What T is computed in.
template <class T>
struct compute {
  using type = T;
};
template <>
struct compute<bf16> {
  using type = float;
};
template <>
struct compute<f16> {
  using type = float;
};
template <class T>
using Compute = typename compute<T>::type;

// Two floats as a pair of bf16, the first in the low half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// ---- 16-byte accesses: N elements of T at once. The address must be a multiple of 16.

template <class T>
struct alignas(16) Pack {
  static constexpr int N = 16 / sizeof(T);
  T v[N];
};
template <class T>
__device__ __forceinline__ Pack<T> load16(const T* p) {
  const uint4 raw = *reinterpret_cast<const uint4*>(p);
  return *reinterpret_cast<const Pack<T>*>(&raw);
}
template <class T>
__device__ __forceinline__ void store16(T* p, const Pack<T>& x) {
  *reinterpret_cast<uint4*>(p) = *reinterpret_cast<const uint4*>(&x);
}
__device__ __forceinline__ bool aligned16(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

// A pointer that a kernel reads from a table is of no known space: told that it is global, the compiler loads by LDG.
template <class T>
__device__ __forceinline__ T* in_global(T* p) {
  __builtin_assume(__isGlobal(p));
  return p;
}

// ---- shared memory that the launch asked for

__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char raw[];
  return raw;
}

// ---- sums and maxima, in a fixed order

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(kFullWarp, x, o);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x = fmaxf(x, __shfl_xor_sync(kFullWarp, x, o));
  return x;
}

// ---- faults (csrc/cuda/faults.h): the first value found wrong is kept

struct Fault {
  int32_t site, reserved;
  int64_t position, value, limit;
};
__device__ __forceinline__ void fault(Fault* f, int site, int64_t position, int64_t value, int64_t limit) {
  if (atomicCAS(&f->site, 0, site) != 0) return;
  f->position = position;
  f->value = value;
  f->limit = limit;
}
// Whether 0 <= index < limit; a fault if not.
__device__ __forceinline__ bool in_range(Fault* f, int site, int64_t position, int64_t index, int64_t limit) {
  if (index >= 0 && index < limit) return true;
  fault(f, site, position, index, limit);
  return false;
}
