// What accompanies products: the sum of the parts that a long k was cut into, and GELU's derivative.
#include "cuda/device/gemm_epilogue.cuh"

// C from its parts, added up in their order; blocks of row y = 1 do the same to the sums of A's rows.
template <class T>
__device__ void combine(const GemmProduct& q) {
  const int64_t size = q.batch.count * q.m * q.n, step = int64_t(gridDim.x) * blockDim.x;
  const int64_t start = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (blockIdx.y == 1) {
    const float* sums = q.partial + q.parts * size;
    for (int64_t i = start; i < q.m; i += step) {
      float total = 0.f;
      for (int p = 0; p < q.parts; p++) total += sums[p * q.m + i];
      static_cast<T*>(q.row_sums)[i] = from_float<T>(total);
    }
    return;
  }
  const int64_t columns = (q.n + 3) / 4, count = q.batch.count * q.m * columns;
  for (int64_t i = start; i < count; i += step) {
    const int64_t line = i / columns, column = (i - line * columns) * 4, batch = line / q.m, row = line - batch * q.m;
    const float* from = q.partial + line * q.n + column;
    const int have = int(q.n - column < 4 ? q.n - column : 4);
    float v[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll 4
    for (int p = 0; p < q.parts; p++) add4(from + p * size, have, q.n % 4 == 0, v);
    finish4<T>(q, offsets_of(q.batch, batch).c, row, column, v);
  }
}
#define COMBINE(T, suffix)                                                                                         \
  extern "C" __global__ void __launch_bounds__(256) gemm_combine_##suffix(const __grid_constant__ GemmProduct q) { \
    combine<T>(q);                                                                                                 \
  }
FOR_FLOAT(COMBINE)

// dz = dy * gelu'(z); kind: 1 erf, 2 tanh
template <class T>
__device__ void gelu_backward(const T* dy, const T* z, T* dz, int64_t n, int kind) {
  constexpr int N = Pack<T>::N;
  const int64_t start = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, step = int64_t(gridDim.x) * blockDim.x;
  const int64_t packs = aligned16(dy) && aligned16(z) && aligned16(dz) ? n / N : 0;
  auto one = [kind](float g, float x) { return g * (kind == 1 ? gemm_gelu_gradient(x) : gemm_gelu_tanh_gradient(x)); };
  for (int64_t i = start; i < packs; i += step) {
    const Pack<T> g = load16(dy + i * N), x = load16(z + i * N);
    Pack<T> out;
#pragma unroll
    for (int e = 0; e < N; e++) out.v[e] = from_float<T>(one(to_float(g.v[e]), to_float(x.v[e])));
    store16(dz + i * N, out);
  }
  for (int64_t i = packs * N + start; i < n; i += step) dz[i] = from_float<T>(one(to_float(dy[i]), to_float(z[i])));
}
#define GELU_BACKWARD(T, suffix)                                                         \
  extern "C" __global__ void __launch_bounds__(256)                                      \
      gemm_gelu_backward_##suffix(const T* dy, const T* z, T* dz, int64_t n, int kind) { \
    gelu_backward(dy, z, dz, n, kind);                                                   \
  }
FOR_FLOAT(GELU_BACKWARD)
