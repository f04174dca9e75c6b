// Activation functions and their gradients: launches.
#include "cuda/elementwise.h"

namespace engine::cuda {

#define ENGINE_MAP(NAME)                                       \
  template <class T>                                           \
  void NAME(In input, Out y) {                                 \
    static const Kernel kernel("activation", named<T>(#NAME)); \
    map(kernel, {y.v, input.v});                               \
  }
#define ENGINE_GRADIENT(NAME)                                  \
  template <class T>                                           \
  void NAME(In dy, In kept, Out dinput) {                      \
    static const Kernel kernel("activation", named<T>(#NAME)); \
    map(kernel, {dinput.v, dy.v, kept.v});                     \
  }
#define ENGINE_ACTIVATION(NAME) ENGINE_MAP(NAME) ENGINE_GRADIENT(NAME##_backward)
ENGINE_ACTIVATION(relu)
ENGINE_ACTIVATION(silu)
ENGINE_ACTIVATION(sigmoid)
ENGINE_ACTIVATION(tanh)
ENGINE_ACTIVATION(erf)
ENGINE_ACTIVATION(log1p)

template <class T>
void leaky_relu(In input, double negative_slope, Out y) {
  static const Kernel kernel("activation", named<T>("leaky_relu"));
  map(kernel, {y.v, input.v}, float(negative_slope));
}
template <class T>
void leaky_relu_backward(In dy, In input, double negative_slope, Out dinput) {
  static const Kernel kernel("activation", named<T>("leaky_relu_backward"));
  map(kernel, {dinput.v, dy.v, input.v}, float(negative_slope));
}

template <class T>
void gelu(In input, bool tanh, Out y) {
  static const Kernel exact("activation", named<T>("gelu")), by_tanh("activation", named<T>("gelu_tanh"));
  map(tanh ? by_tanh : exact, {y.v, input.v});
}
template <class T>
void gelu_backward(In dy, In input, bool tanh, Out dinput) {
  static const Kernel exact("activation", named<T>("gelu_backward")),
      by_tanh("activation", named<T>("gelu_tanh_backward"));
  map(tanh ? by_tanh : exact, {dinput.v, dy.v, input.v});
}

} // namespace engine::cuda

#define FAMILY activation
#include "cuda/instances.h"
