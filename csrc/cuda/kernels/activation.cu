// Activations, element by element.
#include "cuda/device/common.cuh"

template <class T>
__device__ void relu(const T* x, T* y, int64_t n) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x)
    y[i] = from_float<T>(fmaxf(to_float(x[i]), 0.f));
}
#define RELU(T, suffix) \
  extern "C" __global__ void __launch_bounds__(256) relu_##suffix(const T* x, T* y, int64_t n) { relu(x, y, n); }
FOR_FLOATS(RELU)
