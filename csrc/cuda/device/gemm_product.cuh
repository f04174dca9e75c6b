// What a product is: the parameter of the gemm kernels, filled in by kernels/gemm.cc. Plain C++, for both sides.
#pragma once
#include <stdint.h>

namespace engine::cuda {

// A(i, p) is at data[i * outer + p * depth], B(p, j) at data[j * outer + p * depth]. width: the bytes that one copy to
// shared memory may take along the dimension without gaps: 16, 4, or those of one element.
struct GemmOperand {
  const void* data;
  int64_t outer, depth;
  int32_t width, reserved;
};

// Dimensions along which products are repeated, and how far the operands move along each.
struct GemmBatch {
  int64_t count, ndim;
  int64_t shape[6], a[6], b[6], c[6];
};

// Which dimension of a product is cut into groups, one after another, each up to its number of `ends`.
enum class GemmGrouped : int32_t {
  none,
  rows, // of A and C: each group has its own B, that of the batch; rows after the last group's are zeros
  depth // k: each group has its own C, that of the batch
};

// C (m × n) = [C +] A (m × k) · B (k × n) [+ bias], for each of batch, summed over each of summed.
struct GemmProduct {
  int64_t m, n, k;
  GemmOperand a, b;
  void* c; // C(i, j) is at c[i * c_row + j]; null if only gelu(C) is wanted
  int64_t c_row;
  const void* bias; // (n,)
  void* activated;  // laid out as C: gelu(C)
  void* row_sums;   // (m,): the sums of A's rows; A's columns must have no gaps
  float* partial;   // (parts, batch, m, n), then (parts, m) of row_sums: where k is cut into parts
  int64_t first;    // of the batch, in this launch
  int32_t parts, tiles_m, tiles_n;
  int32_t gelu; // 1: erf, 2: tanh
  int32_t accumulate;
  int32_t wide;            // 4 columns of c, activated and bias can be accessed at once
  GemmBatch batch, summed; // where rows are grouped, batch counts 1 and its only dimension is that of the groups
  const int32_t* ends;     // (groups,)
  GemmGrouped grouped;
  int32_t groups;
  void* faults;
  int32_t site; // of ends
};

// A block's tile of C: where it begins and how many of its rows and columns exist; and its share of k, in steps.
struct GemmPlace {
  int64_t batch, row, column, first_k;
  int32_t begin, depths; // its first step among those of all of `summed`, and the steps of each
  int32_t steps, last;   // how many, and what of k the last of `depths` takes
  int32_t rows, columns;
};

} // namespace engine::cuda
