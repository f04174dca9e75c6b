// How kernels that move whole rows divide them among threads: a block of 256 is `lanes` threads on a row (a power of 2)
// times 256 / lanes rows; a thread walks along its row in units of 1 to 16 bytes.
#pragma once
#include "cuda/device/common.cuh"

constexpr int kRowThreads = 256;

// fn(row) for the rows of this thread, lane(fn) for its units.
template <class Fn>
__device__ __forceinline__ void for_rows(int64_t rows, int lanes, const Fn& fn) {
  const int each = kRowThreads / lanes, lane = threadIdx.x & (lanes - 1);
#pragma unroll 1
  for (int64_t r = blockIdx.x * int64_t(each) + threadIdx.x / lanes; r < rows; r += int64_t(gridDim.x) * each)
    fn(r, lane);
}

// to[i] = from[i * step] for i = lane, lane + lanes, …: four loads in flight.
template <class W>
__device__ __forceinline__ void move_row(W* to, int64_t to_step, const W* from, int64_t step, int64_t n, int lane,
                                         int lanes) {
  int64_t i = lane;
#pragma unroll 1
  for (; i + 3 * lanes < n; i += 4 * lanes) {
    W v[4];
#pragma unroll
    for (int u = 0; u < 4; u++) v[u] = from[(i + u * lanes) * step];
#pragma unroll
    for (int u = 0; u < 4; u++) to[(i + u * lanes) * to_step] = v[u];
  }
#pragma unroll 1
  for (; i < n; i += lanes) to[i * to_step] = from[i * step];
}
