// Functions of one operand and their gradients: launches of those that do not follow from their rows.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {

template <class T>
void neg_(InOut input) {
  static const Kernel kernel("unary", named<T>("neg"));
  map(kernel, {input.v, input.v});
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
