// Activation functions, element by element, forward and backward, on contiguous arrays.
//
// Backward takes the output where that is enough (relu, sigmoid, tanh), the input elsewhere: what it does not take need
// not be kept. Values and slopes come from one exp (cpu/vmath.h), so that all but a few are bound by memory.
#include "core/view.h"
#include "cpu/flat.h"
#include "cpu/vmath.h"

namespace engine::ENGINE_ISA {

using namespace simd;

// NAME: y = F(x) of vectors, F a return statement.
#define ENGINE_MAP(NAME, F)                                                                 \
  template <class T>                                                                        \
  void NAME(In input, Out y) {                                                              \
    flat_map(input.numel(), y.data<T>(), input.data<T>(), [](V<T> x) ENGINE_LAMBDA { F; }); \
  }
// NAME_backward: dinput = F(g, x), g the output's gradient and x what forward kept.
#define ENGINE_MAP_BACKWARD(NAME, F)                                                                                 \
  template <class T>                                                                                                 \
  void NAME##_backward(In dy, In kept, Out dinput) {                                                                 \
    flat_map(kept.numel(), dinput.data<T>(), dy.data<T>(), kept.data<T>(), [](V<T> g, V<T> x) ENGINE_LAMBDA { F; }); \
  }

ENGINE_MAP(relu, return x < T(0) ? zero<T>() : x)
ENGINE_MAP_BACKWARD(relu, return x <= T(0) ? zero<T>() : g) // g where x is NaN, as PyTorch
ENGINE_MAP(silu, return simd::silu(x))
ENGINE_MAP_BACKWARD(silu, return g * silu_grad(x))
ENGINE_MAP(sigmoid, return simd::sigmoid(x))
ENGINE_MAP_BACKWARD(sigmoid, return g * (x * (T(1) - x)))
ENGINE_MAP(tanh, return simd::tanh(x))
ENGINE_MAP_BACKWARD(tanh, return g * fma(-x, x, broadcast(T(1))))
ENGINE_MAP(erf, return simd::erf(x))
ENGINE_MAP_BACKWARD(erf, return g * (broadcast(T(1.1283791670955126)) * simd::exp(-(x * x))))
ENGINE_MAP(log1p, return simd::log1p(x))
ENGINE_MAP_BACKWARD(log1p, return g / (T(1) + x))

template <class T>
void leaky_relu(In input, double negative_slope, Out y) {
  const V<T> slope = broadcast(T(negative_slope));
  flat_map(input.numel(), y.data<T>(), input.data<T>(),
           [slope](V<T> x) ENGINE_LAMBDA { return x < T(0) ? x * slope : x; });
}
template <class T>
void leaky_relu_backward(In dy, In input, double negative_slope, Out dinput) {
  const V<T> slope = broadcast(T(negative_slope));
  flat_map(input.numel(), dinput.data<T>(), dy.data<T>(), input.data<T>(),
           [slope](V<T> g, V<T> x) ENGINE_LAMBDA { return x > T(0) ? g : g * slope; });
}

template <class T>
void gelu(In input, bool tanh, Out y) {
  const int64_t n = input.numel();
  if (tanh)
    flat_map(n, y.data<T>(), input.data<T>(), [](V<T> x) ENGINE_LAMBDA { return gelu_tanh(x); });
  else
    flat_map(n, y.data<T>(), input.data<T>(), [](V<T> x) ENGINE_LAMBDA { return simd::gelu(x); });
}
template <class T>
void gelu_backward(In dy, In input, bool tanh, Out dinput) {
  const int64_t n = input.numel();
  const T *g = dy.data<T>(), *x = input.data<T>();
  if (tanh)
    flat_map(n, dinput.data<T>(), g, x, [](V<T> a, V<T> b) ENGINE_LAMBDA { return a * gelu_tanh_grad(b); });
  else
    flat_map(n, dinput.data<T>(), g, x, [](V<T> a, V<T> b) ENGINE_LAMBDA { return a * gelu_grad(b); });
}

} // namespace engine::ENGINE_ISA

#define FAMILY activation
#include "cpu/instances.h"
