// Activations: launches.
#include "cuda/launch.h"
#pragma GCC diagnostic ignored "-Wunused-parameter"

namespace engine::cuda {

template <class T>
void relu(In input, Out y) {
  static const Kernel kernel("activation", named<T>("relu"));
  launch(kernel, {busy_blocks(input.numel(), 256)}, {256}, 0, input.data<T>(), y.data<T>(), input.numel());
}
#define relu relu_
#define KERNEL(family, name, group, params, signature, contract) \
  template <class T> void name params { throw Error(ErrorKind::runtime, "not yet"); }
#include "families/activation.def"
#undef KERNEL
#undef relu
} // namespace engine::cuda

#define FAMILY activation
#include "cuda/instances.h"
