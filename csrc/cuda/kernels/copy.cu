// Moving elements: copies within a dtype by the element's size, and a kernel for each pair of dtypes that converts.
// A number as the source makes it a fill. Transpositions within a dtype go by tiles of 32 x 32 through shared memory,
// so that both sides are read and written along their rows (Ruetsch and Micikevicius, "Optimizing Matrix Transpose in
// CUDA", 2009); a tile's rows are an odd number of words, so that a column lies in different banks.
#include "cuda/device/convert.cuh"
#include "cuda/device/elementwise.cuh"

struct Same {
  template <class C>
  __device__ C operator()(C x) const {
    return x;
  }
};
MAP1(uint8_t, 1, move, Same)
MAP1(uint16_t, 2, move, Same)
MAP1(uint32_t, 4, move, Same)
MAP1(uint64_t, 8, move, Same)

template <class D>
struct Convert {
  template <class C>
  __device__ Compute<D> operator()(C x) const {
    return convert<D>(x);
  }
};
#define CONVERT(S, from, D, to)                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) from##_to_##to(const __grid_constant__ Walk<2> w) { \
    map<D, S>(w, Convert<D>{});                                                                              \
  }
// To one type from all the others; a bool is read as the uint8 that it is stored as.
#define FROM_FLOATING(D, to) FOR_FLOAT(CONVERT, D, to) CONVERT(f16, f16, D, to)
// clang-format off
CONVERT(bf16, bf16, float, f32)
CONVERT(f16, f16, float, f32)
FOR_INTEGER(CONVERT, float, f32)
CONVERT(float, f32, bf16, bf16)
CONVERT(f16, f16, bf16, bf16)
FOR_INTEGER(CONVERT, bf16, bf16)
CONVERT(float, f32, f16, f16)
CONVERT(bf16, bf16, f16, f16)
FOR_INTEGER(CONVERT, f16, f16)
FROM_FLOATING(int32_t, i32)
CONVERT(int64_t, i64, int32_t, i32)
CONVERT(uint8_t, u8, int32_t, i32)
FROM_FLOATING(int64_t, i64)
CONVERT(int32_t, i32, int64_t, i64)
CONVERT(uint8_t, u8, int64_t, i64)
FROM_FLOATING(uint8_t, u8)
CONVERT(int32_t, i32, uint8_t, u8)
CONVERT(int64_t, i64, uint8_t, u8)
FROM_FLOATING(bool, bool)
FOR_INTEGER(CONVERT, bool, bool)
// clang-format on

// Matrices in any number of outer dimensions. A warp reads 32 elements that follow each other in src, and writes 32
// that do in dst.
template <class T>
__device__ __forceinline__ void transpose(const Transpose& p) {
  __shared__ T tile[32][32 + (sizeof(T) < 4 ? 4 / sizeof(T) : 1)];
  const uint32_t tiles = p.tiles_x * p.tiles_y, in_matrix = blockIdx.x % tiles;
  uint32_t matrix = blockIdx.x / tiles;
  const uint32_t x0 = in_matrix % p.tiles_x * 32, y0 = in_matrix / p.tiles_x * 32;
  const T* src = static_cast<const T*>(p.src);
  T* dst = static_cast<T*>(p.dst);
#pragma unroll 1
  for (int d = 0; d < p.dims; d++) {
    const uint32_t i = matrix % p.size[d];
    matrix /= p.size[d];
    src += i * p.src_stride[d];
    dst += i * p.dst_stride[d];
  }
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (uint32_t k = warp; k < 32; k += kThreads / 32) // src: y side by side, rows of x
    if (y0 + lane < p.ny && x0 + k < p.nx) tile[k][lane] = src[(x0 + k) * p.src_row + y0 + lane];
  __syncthreads();
#pragma unroll
  for (uint32_t k = warp; k < 32; k += kThreads / 32)
    if (x0 + lane < p.nx && y0 + k < p.ny) dst[(y0 + k) * p.dst_row + x0 + lane] = tile[lane][k];
}
#define TRANSPOSE(T, bytes)                                                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads) transpose_##bytes(const __grid_constant__ Transpose p) { \
    transpose<T>(p);                                                                                              \
  }
TRANSPOSE(uint8_t, 1)
TRANSPOSE(uint16_t, 2)
TRANSPOSE(uint32_t, 4)
TRANSPOSE(uint64_t, 8)
