// Activation functions and their gradients: launches of those that do not follow from their rows.
#include "cuda/elementwise.h"

namespace engine::cuda {

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
