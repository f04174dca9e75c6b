// The arguments of a reduction kernel: filled in by kernels/reduction.cc, read by device/reduce.cuh. Plain C++.
#pragma once
#include "cuda/device/axes.cuh"

constexpr int kReduceThreads = 256; // of a block

struct Reduction {
  int64_t outputs, r;     // elements kept and elements reduced for each of them
  int64_t chunk, chunks;  // r is cut into so many chunks (grid's y) of `chunk`, whose parts a second kernel joins
  int32_t columns;        // threads lie along the kept elements, not along the reduced ones
  int32_t vector;         // these lie side by side, aligned for vectors
  int32_t lanes;          // threads side by side, a power of 2: on one row, or on neighbouring columns
  int32_t join_lanes;     // the same for the second kernel
  int32_t flip;           // the smallest instead of the largest; all instead of any
  int32_t root;           // sqrt at the end
  float divisor, power;   // at the end: total / divisor, for a sum of powers ^ power
  float exponent, unused; // of each element
  Axes<1> kept, reduced;
  const void* x;
  const void* s;    // a number for each output that the policy needs: a mean, a maximum
  void* parts;      // (chunks, outputs), where there are several chunks
  void* y;          // may be null
  float* wide;      // the result in float32 too; may be null
  int64_t* indices; // the index of the extreme
};
