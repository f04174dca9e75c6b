// Rows of a matrix, the threads that share one, and accesses of 16 bytes to rows that start anywhere. Device code only.
//
// A row is cut into packs of 16 bytes that start at multiples of 16: pack k holds the elements k * N - shift to
// k * N - shift + N - 1, where `shift` is the row's distance from such a multiple. The first and the last pack may
// stick out of the row; their elements are read and written one by one.
#pragma once
#include "cuda/device/common.cuh"
#include "cuda/device/shared.h"

constexpr float kInfinity = __builtin_huge_valf();

// Elements from the multiple of 16 bytes at or below p to p.
template <class T>
__device__ __forceinline__ int phase(const T* p) {
  return int((reinterpret_cast<uintptr_t>(p) & 15) / sizeof(T));
}

// Elements first to first + N - 1 of the n at p; `fill` for those that are not there. vector: p + first is aligned.
template <class T, class I>
__device__ __forceinline__ void load_pack(const T* p, I first, I n, bool vector, float (&v)[Pack<T>::N],
                                          float fill = 0) {
  constexpr int N = Pack<T>::N;
  if (vector && first >= 0 && first + N <= n) {
    const Pack<T> x = load16(p + first);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = to_float(x.v[i]);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = first + i >= 0 && first + i < n ? to_float(p[first + i]) : fill;
  }
}
template <class T, class I>
__device__ __forceinline__ void store_pack(T* p, I first, I n, bool vector, const float (&v)[Pack<T>::N]) {
  constexpr int N = Pack<T>::N;
  if (vector && first >= 0 && first + N <= n) {
    Pack<T> x;
#pragma unroll
    for (int i = 0; i < N; i++) x.v[i] = from_float<T>(v[i]);
    // In assembly: the compiler would merge this store with those below, and make it four of 4 bytes.
    const uint4 raw = *reinterpret_cast<const uint4*>(&x);
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p + first), "r"(raw.x), "r"(raw.y), "r"(raw.z),
                 "r"(raw.w)
                 : "memory");
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (first + i >= 0 && first + i < n) p[first + i] = from_float<T>(v[i]);
  }
}

// The threads that share a row: `width` of a warp (a power of two; the warp has several rows), or the whole block.
// Sums and maxima come out the same in all of them, by way of kTeamShared bytes of dynamic shared memory.
struct Team {
  int width, lane;
  int64_t row;
  int turn;

  __device__ __forceinline__ explicit Team(int w) : width(w), turn(0) {
    if (w > 32) {
      lane = int(threadIdx.x);
      row = blockIdx.x;
    } else {
      lane = int(threadIdx.x) & (w - 1);
      row = int64_t(blockIdx.x) * (int(blockDim.x) / w) + int(threadIdx.x) / w;
    }
  }
  // f(a, other a) within the team. Buffers take turns, so that one barrier a reduction is enough.
  template <class F>
  __device__ __forceinline__ void reduce(float& a, float& b, float rest, const F& f) {
    for (int o = (width < 32 ? width : 32) / 2; o; o >>= 1) {
      a = f(a, __shfl_xor_sync(kFullWarp, a, o));
      b = f(b, __shfl_xor_sync(kFullWarp, b, o));
    }
    if (width <= 32) return;
    float2* parts = reinterpret_cast<float2*>(dynamic_shared()) + turn * 32;
    const int in_warp = int(threadIdx.x) & 31, warps = width / 32;
    if (in_warp == 0) parts[threadIdx.x / 32] = make_float2(a, b);
    __syncthreads();
    const float2 part = in_warp < warps ? parts[in_warp] : make_float2(rest, rest);
    turn ^= 1;
    a = part.x;
    b = part.y;
#pragma unroll
    for (int o = 16; o; o >>= 1) {
      a = f(a, __shfl_xor_sync(kFullWarp, a, o));
      b = f(b, __shfl_xor_sync(kFullWarp, b, o));
    }
  }
  __device__ __forceinline__ void sums(float& a, float& b) {
    reduce(a, b, 0, [](float x, float y) { return x + y; });
  }
  __device__ __forceinline__ float sum(float a) {
    float b = 0;
    sums(a, b);
    return a;
  }
  __device__ __forceinline__ float max(float a) {
    float b = a;
    reduce(a, b, -kInfinity, [](float x, float y) { return fmaxf(x, y); });
    return a;
  }
};

// A thread's packs of its team's row. Held: all of them in registers (P packs at most), read once; else each pass reads
// them again. load(first, v) reads a pack; pass(load, f) calls f(first, v) for each.
template <class T, bool Held, int P = 32 / Pack<T>::N>
struct Row {
  static constexpr int N = Pack<T>::N;
  float v[Held ? P : 1][N];
  int begin, step, shift, d;

  __device__ __forceinline__ Row(const Team& team, int shift_, int d_)
      : begin(team.lane * N - shift_), step(team.width * N), shift(shift_), d(d_) {}
  template <class Load>
  __device__ __forceinline__ void read(const Load& load) {
    if constexpr (Held) {
#pragma unroll
      for (int k = 0; k < P; k++)
        if (k * step - shift < d) load(begin + k * step, v[k]);
    }
  }
  template <class Load, class F>
  __device__ __forceinline__ void pass(const Load& load, const F& f) {
    if constexpr (Held) {
#pragma unroll
      for (int k = 0; k < P; k++)
        if (k * step - shift < d) f(begin + k * step, v[k]);
    } else {
      for (int base = -shift, first = begin; base < d; base += step, first += step) {
        load(first, v[0]);
        f(first, v[0]);
      }
    }
  }
  __device__ __forceinline__ bool inside(int i) const { return unsigned(i) < unsigned(d); }
};

// The sum over a block in double, in thread 0, by way of kTeamShared bytes of dynamic shared memory; the threads are a
// multiple of 32.
__device__ __forceinline__ double block_sum(double x) {
  double* parts = reinterpret_cast<double*>(dynamic_shared());
#pragma unroll
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(kFullWarp, x, o);
  __syncthreads(); // what a sum before this one left has been read
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x) return 0;
  double total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; w++) total += parts[w];
  return total;
}
