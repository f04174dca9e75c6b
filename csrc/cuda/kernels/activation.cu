// Activation functions and their gradients, element by element, in float32. Backward takes the output where that is
// enough (relu, sigmoid, tanh), the input elsewhere. The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

#define FUNCTION(F, Base, ...)                                                         \
  struct F : Base {                                                                    \
    __device__ __forceinline__ float operator()(float x) const { return __VA_ARGS__; } \
  };
// g: the output's gradient, x: what forward kept.
#define GRADIENT(F, Base, ...)                                                                  \
  struct F : Base {                                                                             \
    __device__ __forceinline__ float operator()(float g, float x) const { return __VA_ARGS__; } \
  };

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

FUNCTION(Relu, Light, x < 0 ? 0.f : x)
FUNCTION(Silu, Heavy, (x * logistic(x).value))
FUNCTION(Sigmoid, Heavy, logistic(x).value)
FUNCTION(Tanh, Heavy, tanhf(x))
FUNCTION(Erf, Heavy, erff(x))
FUNCTION(Log1p, Heavy, log1pf(x))
FUNCTION(Gelu, Heavy, x < -5.5f ? 0.f : x * normal_cdf(x))
FUNCTION(GeluTanh, Heavy, (x * logistic(x * fmaf(x * x, 0.071354816f, 1.5957691f)).value))
FLOATS(MAP1, relu, Relu)
FLOATS(MAP1, silu, Silu)
FLOATS(MAP1, sigmoid, Sigmoid)
FLOATS(MAP1, tanh, Tanh)
FLOATS(MAP1, erf, Erf)
FLOATS(MAP1, log1p, Log1p)
FLOATS(MAP1, gelu, Gelu)
FLOATS(MAP1, gelu_tanh, GeluTanh)

GRADIENT(ReluBackward, Light, x <= 0 ? 0.f : g)
GRADIENT(SiluBackward, Heavy, (g * silu_slope(x)))
GRADIENT(SigmoidBackward, Light, (g * (x * (1.f - x))))
GRADIENT(TanhBackward, Light, (g * fmaf(-x, x, 1.f)))
GRADIENT(ErfBackward, Heavy, g * (1.1283792f * expf(-(x * x))))
GRADIENT(Log1pBackward, Heavy, g / (1.f + x))
GRADIENT(GeluBackward, Heavy, (g * fmaf(x, normal_pdf(x), normal_cdf(x))))
GRADIENT(GeluTanhBackward, Heavy, (g * gelu_tanh_slope(x)))
FLOATS(MAP2, relu_backward, ReluBackward)
FLOATS(MAP2, silu_backward, SiluBackward)
FLOATS(MAP2, sigmoid_backward, SigmoidBackward)
FLOATS(MAP2, tanh_backward, TanhBackward)
FLOATS(MAP2, erf_backward, ErfBackward)
FLOATS(MAP2, log1p_backward, Log1pBackward)
FLOATS(MAP2, gelu_backward, GeluBackward)
FLOATS(MAP2, gelu_tanh_backward, GeluTanhBackward)

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
FOR_FLOATS(LEAKY_RELU)
