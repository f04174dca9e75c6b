// Walking strided views of one shape together: dimensions that lie evenly in every view are joined, the innermost run
// is handed to the kernel whole, the rest is split over threads.
#pragma once
#include "core/view.h"
#include "cpu/parallel.h"

namespace engine::ENGINE_ISA {

// fn(at, step, n): the run of n elements that starts at offset at[v] (in elements) and moves by step[v] in view v.
// Works through all elements once; runs may be cut anywhere, so fn must treat elements independently.
template <int N, class Fn>
void for_each_row(const View* const (&views)[N], const Fn& fn) {
  int64_t shape[kMaxDims], strides[N][kMaxDims];
  int ndim = 0;
  const View& first = *views[0];
  for (int d = 0; d < first.ndim; d++) {
    if (first.shape[d] == 0) return;
    if (first.shape[d] == 1) continue;
    bool joins = ndim > 0;
    for (int v = 0; joins && v < N; v++) joins = strides[v][ndim - 1] == views[v]->strides[d] * first.shape[d];
    if (!joins) shape[ndim++] = 1;
    shape[ndim - 1] *= first.shape[d];
    for (int v = 0; v < N; v++) strides[v][ndim - 1] = views[v]->strides[d];
  }
  if (ndim == 0) {
    ndim = 1;
    shape[0] = 1;
    for (int v = 0; v < N; v++) strides[v][0] = 1;
  }
  const int64_t inner = shape[ndim - 1];
  int64_t outer = 1;
  for (int d = 0; d + 1 < ndim; d++) outer *= shape[d];
  // A chunk is either a piece of one long run or several short runs.
  const int64_t piece = inner > kGrain ? kGrain : inner, pieces = (inner + piece - 1) / piece;
  const int64_t runs = outer * pieces, runs_per_chunk = piece >= kGrain ? 1 : (kGrain + piece - 1) / piece;
  int64_t steps[N];
  for (int v = 0; v < N; v++) steps[v] = strides[v][ndim - 1];
  parallel_ranges(runs, runs_per_chunk, [&](int64_t begin, int64_t end) {
    int64_t index[kMaxDims], at[N], base[N];
    int64_t rest = begin / pieces, p = begin % pieces;
    for (int v = 0; v < N; v++) base[v] = 0;
    for (int d = ndim - 2; d >= 0; d--) {
      index[d] = rest % shape[d];
      rest /= shape[d];
      for (int v = 0; v < N; v++) base[v] += index[d] * strides[v][d];
    }
    for (int64_t run = begin; run < end; run++) {
      const int64_t start = p * piece, n = inner - start < piece ? inner - start : piece;
      for (int v = 0; v < N; v++) at[v] = base[v] + start * steps[v];
      fn(at, steps, n);
      if (++p < pieces) continue;
      p = 0;
      for (int d = ndim - 2; d >= 0; d--) { // the next row, as an odometer counts
        for (int v = 0; v < N; v++) base[v] += strides[v][d];
        if (++index[d] < shape[d]) break;
        for (int v = 0; v < N; v++) base[v] -= strides[v][d] * shape[d];
        index[d] = 0;
      }
    }
  });
}

} // namespace engine::ENGINE_ISA
