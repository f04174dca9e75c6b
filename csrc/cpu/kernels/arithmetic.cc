// Arithmetic on elements, forward and backward. Operands are broadcast by strides of 0; integers wrap around.
#include "cpu/elementwise.h"
#include "cpu/table.h"

namespace engine::ENGINE_ISA {

struct Add {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return T(W<T>(a) + W<T>(b)); }
};

template <class T>
void add(In input, In other, Out y) {
  map2<Add, T, T>(y, input, other);
}

} // namespace engine::ENGINE_ISA

#define FAMILY arithmetic
#include "cpu/instances.h"
