// The bits of integers, element by element.
#include "core/view.h"
#include "cpu/elementwise.h"

namespace engine::ENGINE_ISA {

template <class T>
constexpr bool is_bool = false;
template <>
constexpr bool is_bool<bool> = true;

template <class T>
constexpr int kBits = int(sizeof(T)) * 8;
template <class T>
constexpr bool is_signed = T(-1) < T(0);

#define ENGINE_BITS(F, NAME, EXPRESSION)  \
  struct F {                              \
    template <class T>                    \
    static ENGINE_INLINE                  \
    T of(T a, T b) { return EXPRESSION; } \
  };                                      \
  template <class T>                      \
  void NAME(In input, In other, Out y) {  \
    map2<F, T, T>(y, input, other);       \
  }

ENGINE_BITS(And, bitwise_and, T(a& b))
ENGINE_BITS(Or, bitwise_or, T(a | b))
ENGINE_BITS(Xor, bitwise_xor, T(a ^ b))
ENGINE_BITS(LeftShift, bitwise_left_shift, b < T(0) || int64_t(b) >= kBits<T> ? T(0) : T(W<T>(a) << b))
ENGINE_BITS(RightShift, bitwise_right_shift,
            T(a >> (b < T(0) || int64_t(b) >= kBits<T> ? kBits<T> - int(is_signed<T>) : int(b))))

struct Not {
  template <class T>
  static ENGINE_INLINE
  T of(T a) {
    if constexpr (is_bool<T>)
      return !a;
    else
      return T(~a);
  }
};
template <class T>
void bitwise_not(In input, Out y) {
  map1<Not, T, T>(y, input);
}

} // namespace engine::ENGINE_ISA

#define FAMILY bitwise
#include "cpu/instances.h"
