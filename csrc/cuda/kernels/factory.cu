// Arrays made from numbers alone: ranges in double or int64 and rounded once, as on the CPU; triangles, a warp a row,
// in 16-byte vectors where rows are aligned; one-hot rows, a thread an element.
#include "cuda/device/convert.cuh"
#include "cuda/device/walk.cuh"

__device__ __forceinline__ int64_t first_item() { return blockIdx.x * int64_t(kThreads) + threadIdx.x; }
__device__ __forceinline__ int64_t stride_of_grid() { return gridDim.x * int64_t(kThreads); }

// x as a T. 16-bit formats are rounded from float32.
template <class T>
__device__ __forceinline__ T rounded(double x) {
  return from_float<T>(static_cast<float>(x));
}
template <>
__device__ __forceinline__ int32_t rounded<int32_t>(double x) {
  return to_int32(x);
}
template <>
__device__ __forceinline__ int64_t rounded<int64_t>(double x) {
  return to_int64(x);
}
template <>
__device__ __forceinline__ uint8_t rounded<uint8_t>(double x) {
  return static_cast<uint8_t>(to_int32(x));
}

template <class T>
__device__ __forceinline__ void arange(T* y, int64_t n, double start, double step, int64_t start_int,
                                       int64_t step_int) {
  for (int64_t i = first_item(); i < n; i += stride_of_grid()) {
    if constexpr (kIsFloating<Compute<T>>)
      y[i] = rounded<T>(__dadd_rn(start, __dmul_rn(static_cast<double>(i), step)));
    else
      y[i] = static_cast<T>(start_int + i * step_int);
  }
}
// Each half is counted from its own end, so that both ends are met exactly.
template <class T>
__device__ __forceinline__ void linspace(T* y, int64_t n, double start, double end, double step) {
  for (int64_t i = first_item(); i < n; i += stride_of_grid()) {
    const double first = __dadd_rn(start, __dmul_rn(static_cast<double>(i), step));
    const double last = __dadd_rn(end, -__dmul_rn(static_cast<double>(n - 1 - i), step));
    y[i] = rounded<T>(i < (n + 1) / 2 ? first : last);
  }
}
#define RANGES(T, suffix)                                                                                \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                 \
      arange_##suffix(T* y, int64_t n, double start, double step, int64_t start_int, int64_t step_int) { \
    arange(y, n, start, step, start_int, step_int);                                                      \
  }                                                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                 \
      linspace_##suffix(T* y, int64_t n, double start, double end, double step) {                        \
    linspace(y, n, start, end, step);                                                                    \
  }
FOR_REAL(RANGES)

// Keeps x's elements on and below the diagonal (upper: on and above it) of matrices of m rows and n columns; grid.y
// strides over the matrices.
template <class T>
__device__ __forceinline__ void triangle(const T* x, T* y, int64_t matrices, int64_t m, int64_t n, int64_t diagonal,
                                         bool upper) {
  constexpr int V = Pack<T>::N, kWarps = kThreads / 32;
  const bool vectors = n % V == 0 && aligned16(x) && aligned16(y);
  const int lane = threadIdx.x % 32;
  for (int64_t b = blockIdx.y; b < matrices; b += gridDim.y)
    for (int64_t r = blockIdx.x * int64_t(kWarps) + threadIdx.x / 32; r < m; r += gridDim.x * int64_t(kWarps)) {
      const int64_t cut = r + diagonal + (upper ? 0 : 1); // columns before it are kept (lower) or zeroed (upper)
      const T* from = x + (b * m + r) * n;
      T* to = y + (b * m + r) * n;
      if (vectors) {
#pragma unroll 1
        for (int64_t c = lane * V; c < n; c += 32 * V) {
          const int before = cut <= c ? 0 : cut - c < V ? int(cut - c) : V; // elements of the vector before the cut
          Pack<T> p = {};
          if (before != (upper ? V : 0)) p = load16(from + c);
#pragma unroll
          for (int i = 0; i < V; i++)
            if ((i < before) == upper) p.v[i] = 0;
          store16(to + c, p);
        }
      } else {
#pragma unroll 1
        for (int64_t c = lane; c < n; c += 32) to[c] = (c < cut) != upper ? from[c] : T(0);
      }
    }
}
#define TRIANGLE(T, bytes)                                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                        \
      triangle_##bytes(const T* x, T* y, int64_t matrices, int64_t m, int64_t n, int64_t diagonal, int upper) { \
    triangle(x, y, matrices, m, n, diagonal, upper != 0);                                                       \
  }
TRIANGLE(uint8_t, 1)
TRIANGLE(uint16_t, 2)
TRIANGLE(uint32_t, 4)
TRIANGLE(uint64_t, 8)

extern "C" __global__ void __launch_bounds__(kThreads)
    one_hot(const int64_t* ids, int64_t* y, int64_t n, int64_t classes, Fault* faults, int site) {
  const int64_t total = n * classes;
  for (int64_t e = first_item(); e < total; e += stride_of_grid()) {
    int64_t i, c;
    if (total <= 0xffffffff) {
      i = uint32_t(e) / uint32_t(classes);
      c = uint32_t(e) - uint32_t(i) * uint32_t(classes);
    } else {
      i = e / classes;
      c = e - i * classes;
    }
    const int64_t id = ids[i];
    if (c == 0) in_range(faults, site, i, id, classes);
    y[e] = id == c;
  }
}
