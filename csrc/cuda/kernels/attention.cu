// What attention needs before its tiles: delta, and rows that 16-byte loads can read.
#include "cuda/device/attention_problem.cuh"
#include "cuda/device/common.cuh"

// delta (h, t) = rowsum(dout * out): eight lanes a row.
template <class T>
__device__ void attention_delta(AttentionHeads dout, AttentionHeads out, float* delta, int64_t t, int heads, int e) {
  const int lane = threadIdx.x % 8;
  const int64_t rows = t * heads, groups = int64_t(gridDim.x) * blockDim.x / 8;
  const int64_t first = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / 8;
  for (int64_t base = first - first % 4; base < rows; base += groups) { // whole warps go around together
    const int64_t i = base + first % 4, token = i / heads, head = i % heads;
    float sum = 0;
    if (i < rows) {
      const T* a = static_cast<const T*>(dout.data) + token * dout.row + head * dout.head;
      const T* b = static_cast<const T*>(out.data) + token * out.row + head * out.head;
      constexpr int N = Pack<T>::N;
      int c = 0;
      if (aligned16(a) && aligned16(b))
        for (; c + N <= e; c += N * 8)
          if (c + lane * N + N <= e) {
            const Pack<T> x = load16(a + c + lane * N), y = load16(b + c + lane * N);
#pragma unroll
            for (int k = 0; k < N; k++) sum = fmaf(to_float(x.v[k]), to_float(y.v[k]), sum);
          }
      const int done = c ? e / N * N : 0;
      for (int k = done + lane; k < e; k += 8) sum = fmaf(to_float(a[k]), to_float(b[k]), sum);
    }
#pragma unroll
    for (int o = 4; o; o >>= 1) sum += __shfl_xor_sync(kFullWarp, sum, o);
    if (lane == 0 && i < rows) delta[head * t + token] = sum;
  }
}
#define DELTA(T, suffix)                                                                                             \
  extern "C" __global__ void __launch_bounds__(256)                                                                  \
      attention_delta_##suffix(AttentionHeads dout, AttentionHeads out, float* delta, int64_t t, int heads, int e) { \
    attention_delta<T>(dout, out, delta, t, heads, e);                                                               \
  }
FOR_FLOAT(DELTA)

// Copies rows of d elements at any place to rows of `to.row` and heads of `to.head` elements: zeros past d.
template <class T, class U>
__device__ void attention_pack(AttentionHeads from, AttentionHeads to, int64_t t, int heads, int d) {
  const int width = int(to.head);
  const int64_t n = t * heads * width;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t row = i / width, token = row / heads, head = row % heads;
    const int c = int(i % width);
    const T* x = static_cast<const T*>(from.data) + token * from.row + head * from.head;
    static_cast<U*>(to.data)[i] = c < d ? from_float<U>(to_float(x[c])) : from_float<U>(0.f);
  }
}
#define PACK(T, U, suffix)                                                                           \
  extern "C" __global__ void __launch_bounds__(256)                                                  \
      attention_pack_##suffix(AttentionHeads from, AttentionHeads to, int64_t t, int heads, int d) { \
    attention_pack<T, U>(from, to, t, heads, d);                                                     \
  }
PACK(float, float, f32)
PACK(bf16, bf16, bf16)
PACK(float, bf16, f32_bf16)
