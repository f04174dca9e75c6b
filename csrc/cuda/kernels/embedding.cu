// Sums of looked-up rows, and of the rows that share an index: the gradients of tables. The indices come sorted, with
// the positions at which they stood (indexing_sort.cu).
//
// A block sums a window of 64 sorted positions; its threads have a 16-byte vector of columns each. Where the index
// changes, the sum goes to the table if the index's whole segment lies in the window; else it is a part: slot 1 of the
// window's two if the segment goes on in the next window, slot 0 if it only comes from the one before. A second kernel
// writes each row of the table that is left: the sum of its parts, in order, or zeros. So long segments (token types,
// frequent words) are shared by many blocks, and every sum has a fixed order.
#include "cuda/device/elementwise.cuh"
#include "cuda/device/shared.h"

template <class T, int V>
__device__ __forceinline__ void load_row(float (&x)[V], const T* p) {
  if constexpr (V == 1) {
    x[0] = to_float(*p);
  } else {
    constexpr int N = sizeof(T) * V > 16 ? 16 / sizeof(T) : V; // of one load
#pragma unroll
    for (int j = 0; j < V; j += N) {
      Vector<T, N> v;
      load_vector(v, p + j);
#pragma unroll
      for (int k = 0; k < N; k++) x[j + k] = to_float(v.v[k]);
    }
  }
}
template <class T, int V>
__device__ __forceinline__ void store_row(T* p, const float (&x)[V]) {
  if constexpr (V == 1) {
    *p = from_float<T>(x[0]);
  } else {
    constexpr int N = sizeof(T) * V > 16 ? 16 / sizeof(T) : V; // of one store
#pragma unroll
    for (int j = 0; j < V; j += N) {
      Vector<T, N> v;
#pragma unroll
      for (int k = 0; k < N; k++) v.v[k] = from_float<T>(x[j + k]);
      store_vector(p + j, v);
    }
  }
}
template <int V>
__device__ __forceinline__ void add(float (&a)[V], const float (&b)[V]) {
#pragma unroll
  for (int k = 0; k < V; k++) a[k] += b[k];
}

template <class T, int V>
__device__ __forceinline__ void sum_windows(const T* from, const uint32_t* keys, const uint32_t* order, int64_t n,
                                            int64_t limit, int64_t d, const uint32_t* start, const uint32_t* end,
                                            const uint32_t* slot, T* to, float* parts) {
  __shared__ uint32_t key[kWindow], position[kWindow];
  const int64_t first = blockIdx.x * int64_t(kWindow);
  const int count = int(n - first < kWindow ? n - first : kWindow);
  for (int k = threadIdx.x; k < count; k += blockDim.x) {
    key[k] = keys[first + k];
    position[k] = order[first + k];
  }
  __syncthreads();
  const int64_t c = (blockIdx.y * int64_t(blockDim.x) + threadIdx.x) * V;
  if (c >= d) return;
  from += blockIdx.z * n * d + c;
  to += blockIdx.z * limit * d + c;
  parts += (blockIdx.z * int64_t(gridDim.x) + blockIdx.x) * 2 * d + c;
  int k = 0;
  while (k < count && key[k] < limit) { // those that are left out come last
    const uint32_t r = key[k], segment_end = end[r];
    const int stop = int(segment_end - first < count ? segment_end - first : count);
    float sum[V], x[4][V];
    load_row<T, V>(sum, from + position[k] * d);
#pragma unroll 1
    for (k++; k + 4 <= stop; k += 4) {
#pragma unroll
      for (int u = 0; u < 4; u++) load_row<T, V>(x[u], from + position[k + u] * d);
#pragma unroll
      for (int u = 0; u < 4; u++) add(sum, x[u]);
    }
#pragma unroll 1
    for (; k < stop; k++) {
      load_row<T, V>(x[0], from + position[k] * d);
      add(sum, x[0]);
    }
    const bool goes_on = segment_end > first + kWindow, came = start[r] < first;
    if (!goes_on && !came)
      store_row<T, V>(to + (slot ? slot[r] : r) * d, sum);
    else
      store_row<float, V>(parts + (goes_on ? d : 0), sum);
  }
}

// Block: row of the table, columns, group.
template <class T, int V>
__device__ __forceinline__ void finish_rows(const float* parts, int64_t windows, int64_t limit, int64_t d,
                                            const uint32_t* start, const uint32_t* end, const uint32_t* slot, T* to) {
  const int64_t r = blockIdx.x, c = (blockIdx.y * int64_t(blockDim.x) + threadIdx.x) * V;
  if (c >= d) return;
  to += blockIdx.z * limit * d + c;
  const uint32_t s = start[r], e = end[r];
  float sum[V] = {};
  if (s == e) {
    if (!slot) store_row<T, V>(to + r * d, sum);
    return;
  }
  const uint32_t w0 = s / kWindow, w1 = (e - 1) / kWindow;
  if (w0 == w1) return; // complete
  parts += blockIdx.z * windows * 2 * d + c;
  uint32_t w = w0;
#pragma unroll 1
  for (; w + 4 <= w1; w += 4) {
    float x[4][V];
#pragma unroll
    for (int u = 0; u < 4; u++) load_row<float, V>(x[u], parts + (int64_t(w + u) * 2 + 1) * d);
#pragma unroll
    for (int u = 0; u < 4; u++) add(sum, x[u]);
  }
#pragma unroll 1
  for (; w <= w1; w++) {
    float x[V];
    load_row<float, V>(x, parts + (int64_t(w) * 2 + (w < w1)) * d);
    add(sum, x);
  }
  store_row<T, V>(to + (slot ? slot[r] : r) * d, sum);
}

// y = the sum of three tables' rows; a bad index counts as a row of zeros.
template <class T, int V>
__device__ __forceinline__ void embedding_sum(const LookupTable (&tables)[3], int64_t n, int64_t d, int lanes, T* y,
                                              Fault* f, const int (&sites)[3]) {
  const int64_t units = d / V;
  const int each = 256 / lanes;
  const int64_t i = blockIdx.x * int64_t(each) + threadIdx.x / lanes;
  if (i >= n) return;
  const T* row[3];
#pragma unroll
  for (int t = 0; t < 3; t++) {
    row[t] = nullptr;
    if (!tables[t].rows) continue;
    const int64_t id = tables[t].ids ? tables[t].ids[i] : 0;
    if (in_range(f, sites[t], i, id, tables[t].size)) row[t] = static_cast<const T*>(tables[t].rows) + id * d;
  }
#pragma unroll 1
  for (int64_t u = threadIdx.x & (lanes - 1); u < units; u += lanes) {
    float x[3][V];
#pragma unroll
    for (int t = 0; t < 3; t++) {
      if (row[t])
        load_row<T, V>(x[t], row[t] + u * V);
      else
#pragma unroll
        for (int k = 0; k < V; k++) x[t][k] = 0.f;
    }
    add(x[0], x[1]);
    if (row[2]) add(x[0], x[2]);
    store_row<T, V>(y + i * d + u * V, x[0]);
  }
}

#define EMBEDDING(T, suffix)                                                                                           \
  extern "C" __global__ void __launch_bounds__(256) sum_windows_##suffix(                                              \
      const T* from, const uint32_t* keys, const uint32_t* order, int64_t n, int64_t limit, int64_t d, int64_t vector, \
      const uint32_t* start, const uint32_t* end, const uint32_t* slot, T* to, float* parts) {                         \
    if (vector)                                                                                                        \
      sum_windows<T, 16 / sizeof(T)>(from, keys, order, n, limit, d, start, end, slot, to, parts);                     \
    else                                                                                                               \
      sum_windows<T, 1>(from, keys, order, n, limit, d, start, end, slot, to, parts);                                  \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                                    \
      finish_rows_##suffix(const float* parts, int64_t windows, int64_t limit, int64_t d, int64_t vector,              \
                           const uint32_t* start, const uint32_t* end, const uint32_t* slot, T* to) {                  \
    if (vector)                                                                                                        \
      finish_rows<T, 16 / sizeof(T)>(parts, windows, limit, d, start, end, slot, to);                                  \
    else                                                                                                               \
      finish_rows<T, 1>(parts, windows, limit, d, start, end, slot, to);                                               \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256) embedding_sum_##suffix(                                            \
      const __grid_constant__ LookupTable word, const __grid_constant__ LookupTable position,                          \
      const __grid_constant__ LookupTable type, int64_t n, int64_t d, int64_t vector, int64_t lanes, T* y, Fault* f,   \
      int64_t word_site, int64_t position_site, int64_t type_site) {                                                   \
    const LookupTable tables[3] = {word, position, type};                                                              \
    const int sites[3] = {int(word_site), int(position_site), int(type_site)};                                         \
    if (vector)                                                                                                        \
      embedding_sum<T, 16 / sizeof(T)>(tables, n, d, int(lanes), y, f, sites);                                         \
    else                                                                                                               \
      embedding_sum<T, 1>(tables, n, d, int(lanes), y, f, sites);                                                      \
  }
FOR_FLOAT(EMBEDDING)
