// Comparisons, logic and selection, element by element. Their gradients are selections too.
#include "core/view.h"
#include "cpu/elementwise.h"

namespace engine::ENGINE_ISA {

// Defines NAME(input, other, y) as the truth of EXPRESSION for each pair of elements a, b; F names the struct.
#define ENGINE_COMPARE(F, NAME, EXPRESSION)  \
  struct F {                                 \
    template <class T>                       \
    static ENGINE_INLINE                     \
    bool of(T a, T b) { return EXPRESSION; } \
  };                                         \
  template <class T>                         \
  void NAME(In input, In other, Out y) {     \
    map2<F, bool, T>(y, input, other);       \
  }

ENGINE_COMPARE(Eq, eq, a == b)
ENGINE_COMPARE(Ne, ne, a != b)
ENGINE_COMPARE(Lt, lt, a < b)
ENGINE_COMPARE(Le, le, a <= b)
ENGINE_COMPARE(And, logical_and, (a != 0) & (b != 0))
ENGINE_COMPARE(Or, logical_or, (a != 0) | (b != 0))
ENGINE_COMPARE(Xor, logical_xor, (a != 0) != (b != 0))

template <class T>
void gt(In input, In other, Out y) {
  map2<Lt, bool, T>(y, other, input);
}
template <class T>
void ge(In input, In other, Out y) {
  map2<Le, bool, T>(y, other, input);
}

#define ENGINE_TEST(F, NAME, EXPRESSION) \
  struct F {                             \
    template <class T>                   \
    static ENGINE_INLINE                 \
    bool of(T a) { return EXPRESSION; }  \
  };                                     \
  template <class T>                     \
  void NAME(In input, Out y) {           \
    map1<F, bool, T>(y, input);          \
  }

ENGINE_TEST(Not, logical_not, a == 0)
ENGINE_TEST(IsNan, isnan, a != a)
ENGINE_TEST(IsInf, isinf, is_float<T>&& a == a && a - a != 0)
ENGINE_TEST(IsFinite, isfinite, !is_float<T> || a - a == 0)

// Selection only moves elements, of any dtype: as integers of their size.
template <int size>
struct Bits;
template <>
struct Bits<1> {
  using type = uint8_t;
};
template <>
struct Bits<2> {
  using type = uint16_t;
};
template <>
struct Bits<4> {
  using type = uint32_t;
};
template <>
struct Bits<8> {
  using type = uint64_t;
};

struct Where {
  template <class U>
  static ENGINE_INLINE
  U of(bool condition, U a, U b) { return condition ? a : b; }
};
template <class T>
static void select(Param y, Param condition, Param a, Param b) {
  using U = typename Bits<sizeof(T)>::type;
  map3<Where, U, bool, U, U>(y, condition, a, b);
}

template <class T>
void where(In condition, In input, In other, Out y) {
  select<T>(y, condition, input, other);
}
template <class T>
void masked_fill(In input, In mask, In value, Out y) {
  select<T>(y, mask, value, input);
}
template <class T>
void masked_fill_(InOut input, In mask, In value) {
  select<T>(input, mask, value, input);
}

} // namespace engine::ENGINE_ISA

#define FAMILY comparison
#include "cpu/instances.h"
