// Running products along the middle dimension of (a, r, b), and their gradient: a thread runs down a line, in float64.
#include "cuda/device/axes.cuh"
#include "cuda/device/common.cuh"

template <class T>
struct Wide {
  using type = double;
};
template <>
struct Wide<int64_t> {
  using type = uint64_t;
};

template <class W, class T>
__device__ __forceinline__ W read_as(T x) {
  if constexpr (sizeof(T) == 8)
    return W(x);
  else
    return W(to_float(x));
}
template <class T, class W>
__device__ __forceinline__ T write_as(W x) {
  if constexpr (sizeof(T) == 8)
    return T(x);
  else
    return from_float<T>(float(x));
}

// The first element of line i, and where there is none: -1.
__device__ __forceinline__ int64_t first_of_line(Divisor b, int64_t r, int64_t lines) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= lines) return -1;
  const int64_t a = divide(i, b);
  return a * r * int64_t(b.size) + (i - a * int64_t(b.size));
}

template <class T>
__device__ __forceinline__ void cumprod(const T* x, Divisor b, int64_t r, int64_t lines, T* y) {
  using W = typename Wide<T>::type;
  const int64_t first = first_of_line(b, r, lines), step = int64_t(b.size);
  if (first < 0) return;
  W running = 1;
  for (int64_t k = 0; k < r; k++) {
    running *= read_as<W>(x[first + k * step]);
    y[first + k * step] = write_as<T>(running);
  }
}
#define CUMPROD(T, suffix)                                                      \
  extern "C" __global__ void __launch_bounds__(256)                             \
      cumprod_##suffix(const T* x, Divisor b, int64_t r, int64_t lines, T* y) { \
    cumprod(x, b, r, lines, y);                                                 \
  }
FOR_WIDE(CUMPROD)

// The product of the elements before j, times s[j] = dy[j] + x[j + 1] * s[j + 1].
template <class T>
__device__ __forceinline__ void cumprod_backward(const T* dy, const T* x, Divisor b, int64_t r, int64_t lines, T* dx) {
  const int64_t first = first_of_line(b, r, lines), step = int64_t(b.size);
  if (first < 0) return;
  double before = 1, s = 0, next = 0;
  for (int64_t k = 0; k < r; k++) {
    dx[first + k * step] = from_float<T>(float(before));
    before *= double(to_float(x[first + k * step]));
  }
  for (int64_t k = r - 1; k >= 0; k--) {
    const int64_t at = first + k * step;
    s = double(to_float(dy[at])) + next * s;
    next = double(to_float(x[at]));
    dx[at] = from_float<T>(float(double(to_float(dx[at])) * s));
  }
}
#define CUMPROD_BACKWARD(T, suffix)                                                                    \
  extern "C" __global__ void __launch_bounds__(256)                                                    \
      cumprod_backward_##suffix(const T* dy, const T* x, Divisor b, int64_t r, int64_t lines, T* dx) { \
    cumprod_backward(dy, x, b, r, lines, dx);                                                          \
  }
FOR_FLOAT(CUMPROD_BACKWARD)
