// Backward rows of reductions, element by element; dy, y and counts are repeated along the reduced dimensions.
#include "cuda/device/elementwise.cuh"

// Elements that are equal to the extreme share its gradient.
struct Share {
  __device__ float operator()(float dy, float x, float y, float count) const {
    return x == y || (x != x && y != y) ? dy / count : 0.f;
  }
};
// From the product of all that are not 0 and the number of those that are.
struct ProdBackward {
  __device__ float operator()(float dy, float x, float rest, float zeros) const {
    if (x == 0.f) return zeros == 1.f ? dy * rest : 0.f;
    return zeros == 0.f ? dy * (rest / x) : 0.f;
  }
};
struct VarBackward {
  __device__ float operator()(float dy, float x, float mean) const { return dy * (x - mean); }
};
struct NormBackward {
  __device__ float operator()(float dy, float x, float y) const { return y == 0.f ? 0.f : dy * (x / y); }
};
struct SumOfMagnitudesBackward {
  __device__ float operator()(float dy, float x, float) const { return x > 0.f ? dy : x < 0.f ? -dy : 0.f; }
};
struct PowerNormBackward : Heavy {
  __device__ float operator()(float dy, float x, float y, float p) const {
    if (x == 0.f || y == 0.f) return 0.f;
    const float ratio = powf(fabsf(x / y), p - 1.f);
    return x > 0.f ? dy * ratio : -dy * ratio;
  }
};

#define KERNEL(name, N, F, ...)                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads) name(const __grid_constant__ Walk<N> w) { \
    map<__VA_ARGS__>(w, F{});                                                                      \
  }
#define BACKWARD(T, suffix)                                                    \
  KERNEL(amax_backward_##suffix, 5, Share, T, T, T, T, float)                  \
  KERNEL(prod_backward_##suffix, 5, ProdBackward, T, T, T, float, float)       \
  KERNEL(var_backward_##suffix, 4, VarBackward, T, T, T, T)                    \
  KERNEL(norm_backward_##suffix, 4, NormBackward, T, T, T, T)                  \
  KERNEL(magnitudes_backward_##suffix, 4, SumOfMagnitudesBackward, T, T, T, T) \
  KERNEL(powers_backward_##suffix, 5, PowerNormBackward, T, T, T, T, T)
FOR_FLOAT(BACKWARD)
