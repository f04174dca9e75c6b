// What the kernels of normalisations are given, for host and device alike.
#pragma once
#include <stdint.h>

struct Draws { // as Dropout in philox.cuh; how: Dropping in dropout.cuh
  int32_t how;
  uint32_t threshold;
  float scale;
  uint32_t k0, k1, call;
};

template <class T>
struct NormForward {
  const T *x, *residual, *weight, *bias; // but for x they may be null
  T *y, *sum;                            // sum null: not wanted
  float *mean, *rstd;
  int64_t n;
  int32_t d, width; // threads a row
  float eps;
  bool vector, vector_weight; // rows (weight and bias) can be accessed in packs
  Draws draws;
};

template <class T>
struct NormBackward {
  const T *dy, *x, *weight;
  const float *mean, *rstd; // mean null: rms_norm
  const T* more;            // null, or a second gradient of x, which comes past the normalisation
  T *dx, *dropped;          // null: not wanted; dropped is dx times dropout's factors
  float* partial;           // (chunks, 2, d): sums of dy * xhat and of dy over each chunk's rows
  int64_t n;
  int32_t chunk; // rows
  int32_t d, width;
  bool vector, vector_weight;
  Draws draws;
};
