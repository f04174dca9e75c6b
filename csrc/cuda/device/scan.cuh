// Prefix sums over a block of 256 threads, in a fixed order.
#pragma once
#include "cuda/device/common.cuh"

constexpr int kScanThreads = 256;

// The sum of x over the threads before this one; total gets that of all. shared: 33 elements.
template <class S>
__device__ __forceinline__ S block_scan(S x, S& total, S* shared) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  S sum = x;
#pragma unroll
  for (int o = 1; o < 32; o <<= 1) {
    const S other = __shfl_up_sync(kFullWarp, sum, o);
    if (lane >= o) sum = other + sum;
  }
  S before = __shfl_up_sync(kFullWarp, sum, 1);
  if (lane == 0) before = 0;
  __syncthreads(); // shared may still be read from the last time
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  S base = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < kScanThreads / 32; w++) {
    const S s = shared[w];
    if (w < warp) base += s;
    total += s;
  }
  return base + before;
}
