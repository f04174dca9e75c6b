// Dropout of a flat tensor. A warp takes 256 elements at a time, for which its lanes draw once each
// (device/dropout.cuh): two packs of float32 or one of bf16.
#include "cuda/device/dropout.cuh"

template <class T>
__device__ __forceinline__ void drop(const T* x, T* y, int64_t n, bool vector, const Dropout& dropout) {
  constexpr int N = Pack<T>::N, P = 8 / N;
  const int lane = int(threadIdx.x) & 31;
  const int64_t warps = int64_t(gridDim.x) * (blockDim.x / 32);
  for (int64_t e = (blockIdx.x * int64_t(blockDim.x / 32) + threadIdx.x / 32) * 256; e < n; e += warps * 256) {
    float v[P][N];
#pragma unroll
    for (int k = 0; k < P; k++) load_pack(x, e + (k * 32 + lane) * N, n, vector, v[k]);
    WarpDecisions<N> decisions;
#pragma unroll
    for (int k = 0; k < P; k++) {
      const int64_t at = e + (k * 32 + lane) * N;
      const uint32_t bits = decisions(dropout, at);
#pragma unroll
      for (int i = 0; i < N; i++) v[k][i] = bits >> i & 1 ? v[k][i] * dropout.scale : 0.f;
      store_pack(y, at, n, vector, v[k]);
    }
  }
}

#define DROP(T, suffix)                                                                                        \
  extern "C" __global__ void __launch_bounds__(256)                                                            \
      dropout_##suffix(const T* x, T* y, int64_t n, bool vector, uint32_t threshold, float scale, uint32_t k0, \
                       uint32_t k1, uint32_t call) {                                                           \
    drop(x, y, n, vector, {threshold, scale, k0, k1, call});                                                   \
  }
FOR_FLOAT(DROP)
