// Activation functions and their gradients, element by element, in float32. Backward takes the output where that is
// enough (relu, sigmoid, tanh), the input elsewhere. The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

// 1 / (1 + e^-x) and its derivative, which keeps its digits where the function is near 1: from e^-|x|.
struct Logistic {
  float value, slope;
};
__device__ __forceinline__ Logistic logistic(float x) {
  const float z = expf(-fabsf(x)), r = 1.f / (1.f + z), zr = z * r;
  return {x < 0 ? zr : r, zr * r};
}
// The standard normal distribution.
__device__ __forceinline__ float normal_cdf(float x) { return 0.5f + 0.5f * erff(x * 0.70710678f); }
__device__ __forceinline__ float normal_pdf(float x) { return 0.39894228f * expf(-0.5f * x * x); }

__device__ __forceinline__ float silu_slope(float x) {
  const Logistic s = logistic(x);
  return fmaf(x, s.slope, s.value);
}
// GELU's tanh form is x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
__device__ __forceinline__ float gelu_tanh_slope(float x) {
  // Bounded where the sigmoid is 0 or 1 for long, or the slope would overflow.
  const float square = fminf(1e4f, x * x);
  const Logistic s = logistic(x * fmaf(square, 0.071354816f, 1.5957691f));
  return fmaf(x * fmaf(square, 0.21406445f, 1.5957691f), s.slope, s.value);
}

FUNCTION(relu, Light, x < 0 ? 0.f : x)
FUNCTION(silu, Heavy, (x * logistic(x).value))
FUNCTION(sigmoid, Heavy, logistic(x).value)
FUNCTION(tanh, Heavy, tanhf(x))
FUNCTION(erf, Heavy, erff(x))
FUNCTION(log1p, Heavy, log1pf(x))
FUNCTION(gelu, Heavy, x < -5.5f ? 0.f : x * normal_cdf(x))
FUNCTION(gelu_tanh, Heavy, (x * logistic(x * fmaf(x * x, 0.071354816f, 1.5957691f)).value))

GRADIENT(relu_backward, Light, x <= 0 ? 0.f : g)
GRADIENT(silu_backward, Heavy, (g * silu_slope(x)))
GRADIENT(sigmoid_backward, Light, (g * (x * (1.f - x))))
GRADIENT(tanh_backward, Light, (g * fmaf(-x, x, 1.f)))
GRADIENT(erf_backward, Heavy, g * (1.1283792f * expf(-(x * x))))
GRADIENT(log1p_backward, Heavy, g / (1.f + x))
GRADIENT(gelu_backward, Heavy, (g * fmaf(x, normal_pdf(x), normal_cdf(x))))
GRADIENT(gelu_tanh_backward, Heavy, (g * gelu_tanh_slope(x)))

struct LeakyRelu {
  float slope;
  __device__ __forceinline__ float operator()(float x) const { return x < 0 ? x * slope : x; }
  __device__ __forceinline__ float operator()(float g, float x) const { return x > 0 ? g : g * slope; }
};
#define LEAKY_RELU(T, suffix)                                                        \
  extern "C" __global__ void __launch_bounds__(kThreads)                             \
      leaky_relu_##suffix(const __grid_constant__ Walk<2> w, float slope) {          \
    map<T, T>(w, LeakyRelu{slope});                                                  \
  }                                                                                  \
  extern "C" __global__ void __launch_bounds__(kThreads)                             \
      leaky_relu_backward_##suffix(const __grid_constant__ Walk<3> w, float slope) { \
    map<T, T, T>(w, LeakyRelu{slope});                                               \
  }
FOR_FLOAT(LEAKY_RELU)
