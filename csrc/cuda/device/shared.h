// What host and device code of lookups, scans, softmaxes and norms agree on: arguments of kernels, sizes, choices.
#pragma once
#include <stdint.h>

#include "cuda/device/axes.cuh"

constexpr unsigned kTeamShared = 512; // bytes of dynamic shared memory that sums over a team need (rows.cuh)

// ---- sorting and sums of rows that share an index
constexpr int kRun = 2048;  // elements that a block of the sort takes
constexpr int kWindow = 64; // sorted positions whose rows a block adds up

// ---- cumsum
struct Running {
  int64_t a, r, b, chunk, chunks;
  int32_t reverse, vector; // vector: rows and chunks begin at multiples of 16 bytes
  Divisor by_b;
  const void* x;
  void* y;
  void* parts; // (a, chunks, b)
};

// ---- cat
struct Piece {
  const void* data;
  int64_t at;     // where a row of it begins in a row of out
  int64_t units;  // in all
  int64_t block;  // its first one
  Divisor length; // of a row
};

// ---- embedding_sum
struct LookupTable {
  const void* rows;
  const int64_t* ids; // null: all 0
  int64_t size;
};

// ---- softmax
enum SoftmaxKind : int { kSoftmax, kLogSoftmax, kLogSumExp };

// ---- norms of lists of tensors
enum NormKind : int { kTwo, kOne, kLargest, kAny };
