// Fills in device/axes.cuh: dimensions of size 1 are left out, those that follow each other evenly are joined.
#pragma once
#include "core/view.h"
#include "cuda/device/axes.cuh"

namespace engine::cuda {

// The dimensions whose bits `mask` sets; the views have one shape, that of the first.
template <int N>
Axes<N> axes_of(const View* const (&views)[N], uint64_t mask = ~uint64_t(0)) {
  Axes<N> a = {};
  for (int d = views[0]->ndim - 1; d >= 0; d--) {
    const int64_t size = views[0]->shape[d];
    if (size == 1 || !(mask >> d & 1)) continue;
    bool joins = a.dims > 0;
    for (int k = 0; k < N && joins; k++) {
      const int i = a.dims - 1;
      joins = views[k]->strides[d] == a.stride[i][k] * int64_t(a.size[i].size);
    }
    if (joins) {
      a.size[a.dims - 1].size *= uint64_t(size);
      continue;
    }
    a.size[a.dims].size = uint64_t(size);
    for (int k = 0; k < N; k++) a.stride[a.dims][k] = views[k]->strides[d];
    a.dims++;
  }
  if (a.dims == 0) {
    a.dims = 1;
    a.size[0].size = 1;
    for (int k = 0; k < N; k++) a.stride[0][k] = 1;
  }
  for (int d = 0; d < a.dims; d++) a.size[d] = divisor(int64_t(a.size[d].size));
  return a;
}
template <int N>
int64_t count(const Axes<N>& a) {
  int64_t n = 1;
  for (int d = 0; d < a.dims; d++) n *= int64_t(a.size[d].size);
  return n;
}

} // namespace engine::cuda
