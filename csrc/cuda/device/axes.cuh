// Dimensions that N operands have in common, the innermost first, with each operand's strides. Plain C++, filled in by
// the host (cuda/axes.h), read by the device.
#pragma once
#include <stdint.h>

// x / size by a multiplication (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994):
// (mulhi(x, magic) + x) >> shift, for x below 2^62.
struct Divisor {
  uint64_t size, magic, shift;
};

#ifdef __CUDACC__
__device__ __forceinline__ int64_t divide(int64_t x, const Divisor& d) {
  return int64_t((__umul64hi(uint64_t(x), d.magic) + uint64_t(x)) >> d.shift);
}
#else
inline Divisor divisor(int64_t size) {
  Divisor d = {uint64_t(size), 0, 0};
  while ((uint64_t(1) << d.shift) < d.size) d.shift++;
  if (size > 0)
    d.magic = uint64_t((static_cast<unsigned __int128>((uint64_t(1) << d.shift) - d.size) << 64) / d.size) + 1;
  return d;
}
#endif

template <int N>
struct Axes {
  int32_t dims; // at least 1
  int32_t unused;
  Divisor size[8];
  int64_t stride[8][N];

#ifdef __CUDACC__
  // Where element number i (in row-major order) of each operand lies.
  __device__ __forceinline__ void locate(int64_t i, int64_t (&at)[N]) const {
    static_assert(N <= 3, "add");
#pragma unroll
    for (int k = 0; k < N; k++) at[k] = 0;
    const int last = dims - 1;
#pragma unroll 1
    for (int d = 0; d < last; d++) {
      const int64_t q = divide(i, size[d]);
      add(d, i - q * int64_t(size[d].size), at);
      i = q;
    }
    add(last, i, at);
  }
  __device__ __forceinline__ void add(int d, int64_t i, int64_t (&at)[N]) const {
    at[0] += i * stride[d][0];
    if constexpr (N > 1) at[1] += i * stride[d][1];
    if constexpr (N > 2) at[2] += i * stride[d][2];
  }
#endif
};
