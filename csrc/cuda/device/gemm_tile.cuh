// Tiles of a product's operands: from global to shared memory, 64 bytes of k at a time.
//
// Depth-major (rows of A, columns of B without gaps along k): a row of 64 bytes for each row of A or column of B.
// Outer-major (no gaps across k): a row for each step of k. Either way a row is cut into chunks of 16 bytes, and chunks
// change places within eight neighbours (XOR with bits of the row's number), so that the eight chunks that one phase of
// ldmatrix or of a 16-byte load wants, from eight rows or from one, lie in different banks.
#pragma once
#include "cuda/device/common.cuh"
#include "cuda/device/gemm_product.cuh"
#include "cuda/device/mma.cuh"

using engine::cuda::GemmBatch;
using engine::cuda::GemmGrouped;
using engine::cuda::GemmOperand;
using engine::cuda::GemmPlace;
using engine::cuda::GemmProduct;

constexpr int kDepthBytes = 64;

// The place of a chunk of a row, in bytes.
template <class T, bool kOuter, int kRowBytes>
__device__ __forceinline__ int swizzled(int row, int chunk) {
  if (!kOuter) return row * kRowBytes + ((chunk ^ (row >> 1)) & 3) * 16;
  return row * kRowBytes + (chunk ^ (sizeof(T) == 2 ? row & 7 : (row & 3) * 2)) * 16;
}

// `bytes` (0 to 16) from global to shared memory, zeros for the rest of the 16.
__device__ __forceinline__ void cp_async16_some(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void cp_async4_some(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ int clamped(int x, int high) { return x < 0 ? 0 : x > high ? high : x; }

// Copies tiles of kSpan rows of A (columns of B) one after another along k.
template <class T, bool kOuter, int kSpan, int kThreads, bool kNarrow>
struct GemmLoader {
  static constexpr int kSize = sizeof(T), kPack = 16 / kSize, kDepth = kDepthBytes / kSize;
  static constexpr int kRowBytes = kOuter ? kSpan * kSize : kDepthBytes, kRows = kOuter ? kDepth : kSpan;
  static constexpr int kChunks = kRowBytes / 16, kPassRows = kThreads / kChunks;
  static constexpr int kBytes = kSpan * kDepthBytes;
  static_assert(kPassRows % 8 == 0 || (kOuter && kSize == 4 && kPassRows % 4 == 0),
                "swizzling repeats with the passes");

  const T* at; // the next tile's first element; of this thread's first chunk where copies are of 16 bytes
  int left;    // rows of A (columns of B) that exist

  __device__ static bool wide(const GemmOperand& o) { return !kNarrow || o.width == 16; }
  // To step k of the product whose operand begins `offset` elements further on.
  __device__ void seek(const GemmOperand& o, int64_t first, int64_t offset, int64_t k) {
    at = static_cast<const T*>(o.data) + offset + first * o.outer + k * o.depth;
    if (wide(o)) at += int(threadIdx.x) / kChunks * (kOuter ? o.depth : o.outer) + int(threadIdx.x) % kChunks * kPack;
  }

  // The next tile, of whose depth `depth_left` steps exist.
  __device__ void copy(const GemmOperand& o, unsigned char* tile, int depth_left) {
    const int rows = kOuter ? depth_left : left, columns = kOuter ? left : depth_left;
    const int64_t row_step = kOuter ? o.depth : o.outer;
    if (wide(o)) {
      const int row = int(threadIdx.x) / kChunks, chunk = int(threadIdx.x) % kChunks;
      const int bytes = clamped((columns - chunk * kPack) * kSize, 16);
      unsigned char* to = tile + swizzled<T, kOuter, kRowBytes>(row, chunk);
#pragma unroll
      for (int i = 0; i < kRows / kPassRows; i++)
        cp_async16_some(to + i * kPassRows * kRowBytes, at + i * kPassRows * row_step,
                        row + i * kPassRows < rows ? bytes : 0);
    } else if (o.width == 4) {
      copy_narrow<4>(tile, rows, columns, row_step, kOuter ? o.outer : o.depth);
    } else {
      copy_narrow<2>(tile, rows, columns, row_step, kOuter ? o.outer : o.depth);
    }
    at += kDepth * o.depth;
  }

 private:
  // Operands that are not aligned to 16 bytes, or whose elements are contiguous in neither direction.
  template <int kWidth>
  __device__ void copy_narrow(unsigned char* tile, int rows, int columns, int64_t row_step, int64_t column_step) const {
    constexpr int kElements = kWidth / kSize > 0 ? kWidth / kSize : 1, kUnits = kRowBytes / kWidth;
#pragma unroll 4
    for (int i = 0; i < kRows * kUnits / kThreads; i++) {
      const int unit = int(threadIdx.x) + i * kThreads, row = unit / kUnits, column = unit % kUnits * kElements;
      const int bytes = row < rows ? clamped((columns - column) * kSize, kWidth) : 0;
      const T* from = at + row * row_step + column * column_step;
      unsigned char* to = tile + swizzled<T, kOuter, kRowBytes>(row, column / kPack) + column % kPack * kSize;
      if (kWidth == 4)
        cp_async4_some(to, from, bytes);
      else
        *reinterpret_cast<T*>(to) = bytes ? __ldg(from) : from_float<T>(0.f);
    }
  }
};

// The sums of A's rows on the way: each thread adds up one chunk's columns of some rows of each outer-major tile.
template <class T, int kSpan, int kThreads>
struct GemmRowSums {
  static constexpr int kPack = 16 / sizeof(T), kDepth = kDepthBytes / sizeof(T), kRowBytes = kSpan * sizeof(T);
  static constexpr int kChunks = kRowBytes / 16, kGroups = kThreads / kChunks;
  float sums[kPack];

  __device__ void clear() {
#pragma unroll
    for (int e = 0; e < kPack; e++) sums[e] = 0.f;
  }
  __device__ void add(const unsigned char* tile) {
    const int group = int(threadIdx.x) / kChunks, chunk = int(threadIdx.x) % kChunks;
#pragma unroll
    for (int row = 0; row < kDepth; row += kGroups) {
      const Pack<T> x = load16(reinterpret_cast<const T*>(tile + swizzled<T, true, kRowBytes>(row + group, chunk)));
#pragma unroll
      for (int e = 0; e < kPack; e++) sums[e] += to_float(x.v[e]);
    }
  }
  // The groups' sums, in order, of row i in thread i. All threads of the block call it.
  __device__ float total(float* shared) {
    const int group = int(threadIdx.x) / kChunks, chunk = int(threadIdx.x) % kChunks;
#pragma unroll
    for (int e = 0; e < kPack; e++) shared[group * kSpan + chunk * kPack + e] = sums[e];
    __syncthreads();
    float sum = 0.f;
    if (threadIdx.x < kSpan)
      for (int g = 0; g < kGroups; g++) sum += shared[g * kSpan + threadIdx.x];
    __syncthreads();
    return sum;
  }
};
