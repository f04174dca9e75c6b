// Products of integers, which wrap around: a thread adds up one element.
#include "cuda/device/axes.cuh"
#include "cuda/device/common.cuh"

extern "C" __global__ void __launch_bounds__(256)
    matmul_integers(const __grid_constant__ Axes<2> axes, const int64_t* a, int64_t a_step, const int64_t* b,
                    int64_t b_step, int64_t k, int64_t n, int64_t* y) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int64_t at[2];
  axes.locate(i, at);
  uint64_t sum = 0;
  for (int64_t p = 0; p < k; p++) sum += uint64_t(a[at[0] + p * a_step]) * uint64_t(b[at[1] + p * b_step]);
  y[i] = int64_t(sum);
}
