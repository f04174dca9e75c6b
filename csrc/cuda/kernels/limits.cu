// What the device can do at most: multiply-adds (of bf16: products of tensor cores) and memory traffic.
#include "cuda/device/mma.cuh"
#include "cuda/device/rows.cuh"

constexpr int kChains = 8; // a thread; kRate in limits.cc is made of it

// A block of 256 threads is a chunk: each thread runs independent chains of fma; y depends on all of them.
__device__ __forceinline__ float chains(int64_t iterations, float) {
  float chain[kChains];
#pragma unroll
  for (int c = 0; c < kChains; c++) chain[c] = 1.f + float(c);
  for (int64_t k = 0; k < iterations; k++)
#pragma unroll
    for (int c = 0; c < kChains; c++) chain[c] = fmaf(chain[c], 0.999f, 0.001f);
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kChains; c++) sum += chain[c];
  return sum;
}
__device__ __forceinline__ float chains(int64_t iterations, bf16) {
  float d[kChains][4] = {};
  const uint32_t half = pack_bf16(0.5f, 0.5f), a[4] = {half, half, half, half};
  for (int64_t k = 0; k < iterations; k++)
#pragma unroll
    for (int c = 0; c < kChains; c++) mma_bf16(d[c], a, half, half);
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kChains; c++) sum += d[c][0] + d[c][1] + d[c][2] + d[c][3];
  return sum;
}
template <class T>
__device__ __forceinline__ void fma_peak(int64_t n, int64_t iterations, T* y, int64_t* rate, int64_t operations) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *rate = operations;
  for (int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    const double total = block_sum(chains(iterations, T()));
    if (threadIdx.x == 0) y[i] = from_float<T>(float(total));
  }
}

// Every array of `writes` becomes the sum of those of `reads`; without writes the sums are dropped, but for one that
// nothing can rule out.
template <class T>
__device__ __forceinline__ void stream(T* const* arrays, int reads, int writes, int64_t n, bool vector) {
  constexpr int N = Pack<T>::N;
  float unused = 0;
  for (int64_t e = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) * N; e < n;
       e += int64_t(gridDim.x) * blockDim.x * N) {
    float total[N], v[N];
    load_pack(in_global(arrays[0]), e, n, vector, total);
    for (int r = 1; r < reads; r++) {
      load_pack(in_global(arrays[r]), e, n, vector, v);
#pragma unroll
      for (int i = 0; i < N; i++) total[i] += v[i];
    }
    for (int w = 0; w < writes; w++) store_pack(in_global(arrays[reads + w]), e, n, vector, total);
#pragma unroll
    for (int i = 0; i < N; i++) unused += total[i];
  }
  if (writes < 0) *in_global(arrays[0]) = from_float<T>(unused);
}

#define LIMITS(T, suffix)                                                                         \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      fma_peak_##suffix(int64_t n, int64_t iterations, T* y, int64_t* rate, int64_t operations) { \
    fma_peak(n, iterations, y, rate, operations);                                                 \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                               \
      stream_##suffix(T* const* arrays, int32_t reads, int32_t writes, int64_t n, bool vector) {  \
    stream(arrays, reads, writes, n, vector);                                                     \
  }
FOR_FLOAT(LIMITS)
