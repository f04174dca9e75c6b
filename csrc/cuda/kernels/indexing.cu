// Reading and writing by index: rows of (o, n, i), elements by gather, and joining. Kernels move units of 1 to 16
// bytes of any dtype; a bad index is a fault, and nothing is touched for it.
#include "cuda/device/axes.cuh"
#include "cuda/device/lookup.cuh"
#include "cuda/device/shared.h"

#define FOR_UNITS(M) M(uint8_t, 1) M(uint16_t, 2) M(uint32_t, 4) M(uint2, 8) M(uint4, 16)
#define FOR_ELEMENTS(M) M(uint8_t, 1) M(uint16_t, 2) M(uint32_t, 4) M(uint64_t, 8)

__device__ __forceinline__ int64_t flat_thread() { return blockIdx.x * int64_t(blockDim.x) + threadIdx.x; }

// y = previous * size + index; operands: index, previous (null: a number).
extern "C" __global__ void __launch_bounds__(256)
    wrap_index(const __grid_constant__ Axes<2> axes, const int64_t* index, int64_t index_value, const int64_t* previous,
               int64_t previous_value, int64_t size, int64_t n, int64_t* y, Fault* f, int64_t site) {
  const int64_t i = flat_thread();
  if (i >= n) return;
  int64_t at[2];
  axes.locate(i, at);
  const int64_t k = index ? index[at[0]] : index_value, before = previous ? previous[at[1]] : previous_value;
  const int64_t wrapped = k < 0 ? k + size : k;
  const bool valid = wrapped >= 0 && wrapped < size;
  if (!valid) fault(f, int(site), i, k, size);
  y[i] = valid && before >= 0 ? before * size + wrapped : -1; // -1: whoever takes it touches nothing
}

// y[o, k] = x[o, index[k]]; strides and d count in units. Rows of a bad index are zeros.
template <class W>
__device__ __forceinline__ void index_rows(const W* x, int64_t so, int64_t sn, int64_t sd, const int64_t* index,
                                           int64_t n, const Divisor& m, int64_t rows, int64_t d, W* y, int lanes,
                                           Fault* f, int64_t site) {
  for_rows(rows, lanes, [&](int64_t r, int lane) {
    const int64_t g = divide(r, m), k = r - g * int64_t(m.size), id = index[k];
    if (in_range(f, int(site), k, id, n))
      move_row(y + r * d, 1, x + g * so + id * sn, sd, d, lane, lanes);
    else
      for (int64_t i = lane; i < d; i += lanes) y[r * d + i] = W{};
  });
}
#define INDEX_ROWS(W, bytes)                                                                                     \
  extern "C" __global__ void __launch_bounds__(kRowThreads) index_rows_##bytes(                                  \
      const W* x, int64_t so, int64_t sn, int64_t sd, const int64_t* index, int64_t n,                           \
      const __grid_constant__ Divisor m, int64_t rows, int64_t d, W* y, int64_t lanes, Fault* f, int64_t site) { \
    index_rows(x, so, sn, sd, index, n, m, rows, d, y, int(lanes), f, site);                                     \
  }
FOR_UNITS(INDEX_ROWS)

// ---- index_put: the last of equal indices wins. winner[r]: the largest k with index[k] = r. (The maximum of integers
// does not depend on the order in which they come.)

extern "C" __global__ void __launch_bounds__(256)
    put_winners(const int64_t* index, int64_t m, int64_t n, int32_t* winner, Fault* f, int64_t site) {
  const int64_t k = flat_thread();
  if (k < m && in_range(f, int(site), k, index[k], n)) atomicMax(winner + index[k], int32_t(k));
}

// x[o, index[k]] = values[o, k] where k has won.
template <class W>
__device__ __forceinline__ void index_put(W* x, int64_t so, int64_t sn, int64_t sd, const int64_t* index,
                                          const int32_t* winner, int64_t n, const W* values, int64_t vo, int64_t vm,
                                          int64_t vd, const Divisor& m, int64_t rows, int64_t d, int lanes) {
  for_rows(rows, lanes, [&](int64_t r, int lane) {
    const int64_t g = divide(r, m), k = r - g * int64_t(m.size), id = index[k];
    if (id < 0 || id >= n || winner[id] != k) return;
    move_row(x + g * so + id * sn, sd, values + g * vo + k * vm, vd, d, lane, lanes);
  });
}
#define INDEX_PUT(W, bytes)                                                                                    \
  extern "C" __global__ void __launch_bounds__(kRowThreads)                                                    \
      index_put_##bytes(W* x, int64_t so, int64_t sn, int64_t sd, const int64_t* index, const int32_t* winner, \
                        int64_t n, const W* values, int64_t vo, int64_t vm, int64_t vd,                        \
                        const __grid_constant__ Divisor m, int64_t rows, int64_t d, int64_t lanes) {           \
    index_put(x, so, sn, sd, index, winner, n, values, vo, vm, vd, m, rows, d, int(lanes));                    \
  }
FOR_UNITS(INDEX_PUT)

// y[index[k]] = rows[k]; y is filled already. The index rises.
template <class W>
__device__ __forceinline__ void put_rows(const W* from, const int64_t* index, int64_t m, int64_t n, int64_t d, W* y,
                                         int lanes, Fault* f, int64_t site) {
  for_rows(m, lanes, [&](int64_t k, int lane) {
    const int64_t id = index[k];
    if (!in_range(f, int(site), k, id, n)) return;
    if (k > 0 && index[k - 1] >= id) return fault(f, int(site), k, id, n);
    move_row(y + id * d, 1, from + k * d, 1, d, lane, lanes);
  });
}
#define PUT_ROWS(W, bytes)                                                                                        \
  extern "C" __global__ void __launch_bounds__(kRowThreads)                                                       \
      put_rows_##bytes(const W* from, const int64_t* index, int64_t m, int64_t n, int64_t d, W* y, int64_t lanes, \
                       Fault* f, int64_t site) {                                                                  \
    put_rows(from, index, m, n, d, y, int(lanes), f, site);                                                       \
  }
FOR_UNITS(PUT_ROWS)

// ---- elements. Operands: index, and the other array with dimension dim standing still.

template <class W>
__device__ __forceinline__ void gather(const Axes<2>& axes, const W* x, int64_t stride, const int64_t* index,
                                       int64_t size, int64_t n, W* y, Fault* f, int64_t site) {
  const int64_t i = flat_thread();
  if (i >= n) return;
  int64_t at[2];
  axes.locate(i, at);
  const int64_t k = index[at[0]];
  y[i] = in_range(f, int(site), i, k, size) ? x[at[1] + k * stride] : W(0);
}
#define GATHER(W, bytes)                                                                                     \
  extern "C" __global__ void __launch_bounds__(256)                                                          \
      gather_##bytes(const __grid_constant__ Axes<2> axes, const W* x, int64_t stride, const int64_t* index, \
                     int64_t size, int64_t n, W* y, Fault* f, int64_t site) {                                \
    gather(axes, x, stride, index, size, n, y, f, site);                                                     \
  }
FOR_ELEMENTS(GATHER)

// Lines along dim are independent of each other; a thread adds one in order. Operands: index, src, input.
template <class T>
__device__ __forceinline__ void scatter_add(const Axes<3>& axes, T* x, int64_t stride, const int64_t* index,
                                            int64_t index_stride, const T* src, int64_t src_stride, int64_t size,
                                            int64_t length, int64_t lines, Fault* f, int64_t site) {
  const int64_t i = flat_thread();
  if (i >= lines) return;
  int64_t at[3];
  axes.locate(i, at);
  for (int64_t j = 0; j < length; j++) {
    const int64_t k = index[at[0] + j * index_stride];
    if (!in_range(f, int(site), i * length + j, k, size)) continue;
    T* to = x + at[2] + k * stride;
    const T v = src[at[1] + j * src_stride];
    if constexpr (sizeof(T) == 2)
      *to = from_float<T>(to_float(*to) + to_float(v));
    else
      *to = T(*to + v);
  }
}
#define SCATTER_ADD(T, suffix)                                                                                 \
  extern "C" __global__ void __launch_bounds__(256) scatter_add_##suffix(                                      \
      const __grid_constant__ Axes<3> axes, T* x, int64_t stride, const int64_t* index, int64_t index_stride,  \
      const T* src, int64_t src_stride, int64_t size, int64_t length, int64_t lines, Fault* f, int64_t site) { \
    scatter_add(axes, x, stride, index, index_stride, src, src_stride, size, length, lines, f, site);          \
  }
FOR_REAL(SCATTER_ADD)

// The same, joined in other ways: 0 the sum, 1 the product, 2 the larger, 3 the smaller. Without `reduce` src replaces.
struct Replace {
  template <class T>
  __device__ __forceinline__ T operator()(T, T x) const {
    return x;
  }
};
struct Reduce {
  int64_t reduce;
  template <class C>
  __device__ __forceinline__ C join(C a, C b) const {
    if (reduce == 0) return C(a + b);
    if (reduce == 1) return C(a * b);
    if (a != a) return a;
    return (reduce == 2 ? a > b : a < b) ? a : b;
  }
  template <class T>
  __device__ __forceinline__ T operator()(T to, T x) const {
    if constexpr (sizeof(T) == 2)
      return from_float<T>(join(to_float(to), to_float(x)));
    else
      return join(to, x);
  }
};
template <class T, class F>
__device__ __forceinline__ void scatter(const Axes<3>& axes, T* x, int64_t stride, const int64_t* index,
                                        int64_t index_stride, const T* src, int64_t src_stride, int64_t size,
                                        int64_t length, int64_t lines, Fault* f, int64_t site, const F& join) {
  const int64_t i = flat_thread();
  if (i >= lines) return;
  int64_t at[3];
  axes.locate(i, at);
#pragma unroll 1
  for (int64_t j = 0; j < length; j++) {
    const int64_t k = index[at[0] + j * index_stride];
    if (!in_range(f, int(site), i * length + j, k, size)) continue;
    T* to = x + at[2] + k * stride;
    *to = join(*to, src[at[1] + j * src_stride]);
  }
}
#define SCATTER(T, bytes)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256) scatter_##bytes(                                           \
      const __grid_constant__ Axes<3> axes, T* x, int64_t stride, const int64_t* index, int64_t index_stride,  \
      const T* src, int64_t src_stride, int64_t size, int64_t length, int64_t lines, Fault* f, int64_t site) { \
    scatter(axes, x, stride, index, index_stride, src, src_stride, size, length, lines, f, site, Replace{});   \
  }
FOR_ELEMENTS(SCATTER)
#define SCATTER_REDUCE(T, suffix)                                                                                   \
  extern "C" __global__ void __launch_bounds__(256)                                                                 \
      scatter_reduce_##suffix(const __grid_constant__ Axes<3> axes, T* x, int64_t stride, const int64_t* index,     \
                              int64_t index_stride, const T* src, int64_t src_stride, int64_t size, int64_t length, \
                              int64_t lines, Fault* f, int64_t site, int64_t reduce) {                              \
    scatter(axes, x, stride, index, index_stride, src, src_stride, size, length, lines, f, site, Reduce{reduce});   \
  }
FOR_LOGIC(SCATTER_REDUCE)

// ---- cat: a table of tensors, a block for 1024 units of one.

template <class W>
__device__ __forceinline__ void cat(const Piece* pieces, int64_t count, int64_t row, W* out) {
  int64_t low = 0, high = count - 1; // the last piece that begins at this block or before
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (pieces[middle].block <= blockIdx.x)
      low = middle;
    else
      high = middle - 1;
  }
  const Piece& p = pieces[low];
  const W* from = static_cast<const W*>(p.data);
  const Divisor length = p.length;
  const int64_t first = (blockIdx.x - p.block) * 1024 + threadIdx.x, units = p.units, at = p.at;
  W v[4];
#pragma unroll
  for (int u = 0; u < 4; u++)
    if (first + u * 256 < units) v[u] = from[first + u * 256];
#pragma unroll
  for (int u = 0; u < 4; u++) {
    const int64_t i = first + u * 256;
    if (i >= units) return;
    const int64_t r = divide(i, length);
    out[r * row + at + (i - r * int64_t(length.size))] = v[u];
  }
}
#define CAT(W, bytes)                                                        \
  extern "C" __global__ void __launch_bounds__(256)                          \
      cat_##bytes(const Piece* pieces, int64_t count, int64_t row, W* out) { \
    cat(pieces, count, row, out);                                            \
  }
FOR_UNITS(CAT)
