// cumsum: running sums along the middle dimension of (a, r, b), forwards or backwards, in chunks of r.
//
// b = 1: a block of 256 scans a chunk of a row, 16 bytes a thread at a time: sums within the thread, within the warp
// by shuffles, over the warps through shared memory. b > 1: a thread runs down a chunk of a column, and its neighbours
// down the next columns. If there are several chunks, a first kernel takes the sum of each, and every block adds up
// those before its own, in a fixed order (Blelloch, "Prefix sums and their applications", 1990: reduce, then scan).
#include "cuda/device/axes.cuh"
#include "cuda/device/scan.cuh"
#include "cuda/device/shared.h"

template <class T>
struct Sums { // in float64: a running sum is one long chain of roundings, and memory is slower than these additions
  using type = double;
  static __device__ double read(T x) { return double(to_float(x)); }
  static __device__ T write(double x) { return from_float<T>(float(x)); }
};
template <>
struct Sums<int64_t> {
  using type = uint64_t;
  static __device__ uint64_t read(int64_t x) { return uint64_t(x); }
  static __device__ int64_t write(uint64_t x) { return int64_t(x); }
};

// Rows: block (x: row, y: chunk).
template <class T, bool sums_only>
__device__ __forceinline__ void scan_rows(const Running& q) {
  using S = typename Sums<T>::type;
  constexpr int kItems = Pack<T>::N;
  __shared__ S shared[33];
  const int64_t row = blockIdx.x, begin = blockIdx.y * q.chunk;
  const int64_t n = q.r - begin < q.chunk ? q.r - begin : q.chunk;
  const T* x = static_cast<const T*>(q.x) + row * q.r;
  T* y = static_cast<T*>(q.y) + row * q.r;
  S* parts = static_cast<S*>(q.parts) + row * q.chunks;
  auto place = [&](int64_t i) { return q.reverse ? q.r - 1 - (begin + i) : begin + i; };
  S carry = 0;
  if (!sums_only && blockIdx.y) {
    S before = 0;
    for (int64_t c = threadIdx.x; c < blockIdx.y; c += kScanThreads) before += parts[c];
    block_scan(before, carry, shared);
  }
#pragma unroll 1
  for (int64_t at = 0; at < n; at += kScanThreads * kItems) {
    const int64_t first = at + threadIdx.x * kItems;
    const bool whole = q.vector && first + kItems <= n;
    const int64_t lowest = place(q.reverse ? first + kItems - 1 : first);
    S v[kItems], mine = 0;
    if (whole) {
      const Pack<T> pack = load16(x + lowest);
#pragma unroll
      for (int k = 0; k < kItems; k++) v[k] = Sums<T>::read(q.reverse ? pack.v[kItems - 1 - k] : pack.v[k]);
    } else {
#pragma unroll
      for (int k = 0; k < kItems; k++) v[k] = first + k < n ? Sums<T>::read(x[place(first + k)]) : S(0);
    }
#pragma unroll
    for (int k = 0; k < kItems; k++) v[k] = mine = mine + v[k];
    S total;
    const S before = carry + block_scan(mine, total, shared);
    if (!sums_only && whole) {
      Pack<T> pack;
#pragma unroll
      for (int k = 0; k < kItems; k++) {
        const T z = Sums<T>::write(before + (q.reverse ? v[kItems - 1 - k] : v[k]));
        pack.v[k] = z;
      }
      store16(y + lowest, pack);
    } else if (!sums_only) {
#pragma unroll
      for (int k = 0; k < kItems; k++)
        if (first + k < n) y[place(first + k)] = Sums<T>::write(before + v[k]);
    }
    carry += total;
  }
  if (sums_only && threadIdx.x == 0) parts[blockIdx.y] = carry;
}

// Columns: blocks along x: (a, b); y: chunk.
template <class T, bool sums_only>
__device__ __forceinline__ void scan_columns(const Running& q) {
  using S = typename Sums<T>::type;
  const int64_t i = blockIdx.x * int64_t(kScanThreads) + threadIdx.x;
  if (i >= q.a * q.b) return;
  const int64_t a = divide(i, q.by_b), b = i - a * q.b, begin = blockIdx.y * q.chunk;
  const int64_t n = q.r - begin < q.chunk ? q.r - begin : q.chunk;
  S* parts = static_cast<S*>(q.parts) + a * q.chunks * q.b + b;
  S carry = 0;
  if (!sums_only)
    for (int64_t c = 0; c < blockIdx.y; c++) carry += parts[c * q.b];
  const int64_t start = q.reverse ? q.r - 1 - begin : begin, step = q.reverse ? -q.b : q.b;
  const T* x = static_cast<const T*>(q.x) + (a * q.r + start) * q.b + b;
  T* y = static_cast<T*>(q.y) + (a * q.r + start) * q.b + b;
  S sum = 0;
#pragma unroll 4
  for (int64_t k = 0; k < n; k++) {
    sum += Sums<T>::read(x[k * step]);
    if (!sums_only) y[k * step] = Sums<T>::write(carry + sum);
  }
  if (sums_only) parts[blockIdx.y * q.b] = sum;
}

#define SCAN(T, suffix)                                                                                              \
  extern "C" __global__ void __launch_bounds__(kScanThreads) scan_sums_##suffix(const __grid_constant__ Running q) { \
    if (q.b == 1)                                                                                                    \
      scan_rows<T, true>(q);                                                                                         \
    else                                                                                                             \
      scan_columns<T, true>(q);                                                                                      \
  }                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(kScanThreads) scan_##suffix(const __grid_constant__ Running q) {      \
    if (q.b == 1)                                                                                                    \
      scan_rows<T, false>(q);                                                                                        \
    else                                                                                                             \
      scan_columns<T, false>(q);                                                                                     \
  }
FOR_FLOAT(SCAN)
SCAN(int64_t, i64)
