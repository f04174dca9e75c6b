// How an elementwise kernel walks over its operands: filled in by the host (cuda/elementwise.h), read by the device
// (cuda/device/elementwise.cuh). Plain C++, compiled by both.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define ENGINE_BOTH __host__ __device__
#else
#define ENGINE_BOTH
#endif

constexpr int kThreads = 256; // of a block
constexpr int kVectors = 2;   // that a thread takes in the vector form, kThreads apart
constexpr int kItems = 4;     // elements that a thread takes in the strided form, kThreads apart

// Elements of a vector, by the size of the largest element among the operands: 16 bytes of that.
ENGINE_BOTH constexpr int vector_width(int bytes) { return bytes > 1 ? 16 / bytes : 8; }

// N operands, the output first. A unit is a vector in the vector form (every operand's elements lie side by side and
// aligned along the innermost dimension, or are one element repeated), else an element. Offsets count in elements and
// fit 31 bits: the host cuts what is larger.
template <int N>
struct Walk {
  struct Dim {
    uint32_t size, magic, shift; // i / size is (mulhi(i, magic) + i) >> shift
    uint32_t stride[N];          // from unit to unit
  };
  uint32_t units;
  uint32_t tail;   // elements left over after the last vector; only of one dimension
  int32_t dims;    // at least 1
  int32_t vector;  // whether this is the vector form
  uint32_t moves;  // vector form, bit k: operand k moves from element to element of a vector, else it is repeated
  uint32_t unused; // no padding: the driver compares sizes
  void* data[N];
  uint64_t value[N]; // the bits of an operand that is a number (its data is null)
  Dim dim[8];        // the innermost first
};

// A copy whose innermost dimension x in dst is not that of src, which is y (kernels/copy.cu).
struct Transpose {
  const void* src;
  void* dst;
  int64_t src_row, dst_row;             // strides of x in src, of y in dst
  uint32_t nx, ny;                      // sizes
  uint32_t tiles_x, tiles_y;            // of 32
  int64_t src_stride[6], dst_stride[6]; // of the other dimensions
  uint32_t size[6];
  int32_t dims, unused;
};
