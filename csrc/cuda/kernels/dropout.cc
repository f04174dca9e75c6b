// Dropout: launches.
#include "cuda/kernels/rows.h"

namespace engine::cuda {

template <class T>
void dropout(In input, double p, int64_t seed, int64_t call, Out y) {
  static const Kernel kernel("dropout", named<T>("dropout"));
  const int64_t n = input.numel();
  const Draws d = draws(p, seed, call, true);
  launch(kernel, {busy_blocks(n, 2048)}, {256}, 0, input.data<T>(), y.data<T>(), n,
         aligned({input.data<T>(), y.data<T>()}), d.threshold, d.scale, d.k0, d.k1, d.call);
}

} // namespace engine::cuda

#define FAMILY dropout
#include "cuda/instances.h"
