// Functions of one operand and their gradients: launches.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {

#define ENGINE_UNARY(NAME)                                \
  template <class T>                                      \
  void NAME(In input, Out y) {                            \
    static const Kernel kernel("unary", named<T>(#NAME)); \
    map(kernel, {y.v, input.v});                          \
  }
#define ENGINE_GRADIENT(NAME)                             \
  template <class T>                                      \
  void NAME(In dy, In kept, Out dinput) {                 \
    static const Kernel kernel("unary", named<T>(#NAME)); \
    map(kernel, {dinput.v, dy.v, kept.v});                \
  }
ENGINE_UNARY(neg)
ENGINE_UNARY(sign)
ENGINE_UNARY(exp)
ENGINE_UNARY(log)
ENGINE_UNARY(sqrt)
ENGINE_UNARY(rsqrt)
ENGINE_UNARY(sin)
ENGINE_UNARY(cos)
ENGINE_UNARY(floor)
ENGINE_UNARY(ceil)
ENGINE_UNARY(round)
ENGINE_GRADIENT(abs_backward)
ENGINE_GRADIENT(sqrt_backward)
ENGINE_GRADIENT(rsqrt_backward)
ENGINE_GRADIENT(sin_backward)
ENGINE_GRADIENT(cos_backward)

template <class T>
void neg_(InOut input) {
  neg<T>({input.v}, {input.v});
}

template <class T>
void abs(In input, Out y) {
  constexpr bool moves = std::is_same_v<T, uint8_t>;
  static const Kernel kernel(moves ? "copy" : "unary", moves ? "move_1" : named<T>("abs"));
  map(kernel, {y.v, input.v});
}

} // namespace engine::cuda

#define FAMILY unary
#include "cuda/instances.h"
