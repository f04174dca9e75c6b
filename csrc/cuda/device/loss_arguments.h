// What the kernels of losses are given, for host and device alike.
#pragma once
#include <stdint.h>

enum Reduction : int32_t { kNone, kMean, kSum };
enum ElementKind : int32_t { kSquare, kAbsolute, kLogits };
constexpr int64_t kChunk = 16384; // elements whose losses a block adds up

template <class T>
struct CrossEntropy {
  const T *input, *weight; // weight null: ones
  const T* target;         // probabilities, or
  const int64_t* labels;
  const double* totals; // of label_totals
  T *loss, *gradient;   // null: not wanted
  float* losses;        // of each row, to be added up
  int64_t n, ignore;
  int32_t c, width, reduction;
  float kept, each; // 1 - smoothing, smoothing / c
  bool vector;
};

template <class T>
struct ElementLoss {
  const T *dy, *input, *target, *weight, *pos_weight; // the last two null: ones
  T* out;                                             // losses of the elements, or slopes
  double* partial;                                    // sums of chunks of losses, or null
  int64_t n;
  int32_t kind, reduction;
  bool vector;
};
