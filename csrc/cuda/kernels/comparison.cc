// Comparisons, logic and selection: launches.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {
namespace {

// A bool is compared as the byte that it is.
template <class T>
using Compared = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

constexpr uint32_t kLess = 1, kEqual = 2, kGreater = 4, kUnordered = 8; // Compare in comparison.cu
constexpr uint32_t kNaN = 1, kInfinite = 2, kFinite = 4;                // Classify
constexpr uint32_t kAnd = 8, kOr = 14, kXor = 6;                        // Logic

template <class T>
void compare(In a, In b, Out y, uint32_t relation) {
  static const Kernel kernel("comparison", named<Compared<T>>("compare"));
  map(kernel, {y.v, a.v, b.v}, relation);
}
template <class T>
void combine(In a, In b, Out y, uint32_t table) {
  static const Kernel kernel("comparison", named<Compared<T>>("logic"));
  map(kernel, {y.v, a.v, b.v}, table);
}
// Integers are finite.
template <class T>
void classify(In input, Out y, uint32_t classes) {
  if constexpr (kIsFloat<T>) {
    static const Kernel kernel("comparison", named<T>("classify"));
    map(kernel, {y.v, input.v}, classes);
  } else {
    static const Kernel kernel("copy", "move_1");
    const bool value = classes & kFinite;
    const View all = number(*y.v, value);
    map(kernel, {y.v, &all});
  }
}
// y = condition ? a : b
template <class T>
void select(const View* y, const View* condition, const View* a, const View* b) {
  static const Kernel kernel("comparison", "select_" + std::to_string(sizeof(T)));
  map(kernel, {y, condition, a, b});
}

} // namespace

#define ENGINE_COMPARE(NAME, CALL)       \
  template <class T>                     \
  void NAME(In input, In other, Out y) { \
    CALL;                                \
  }
ENGINE_COMPARE(eq, compare<T>(input, other, y, kEqual))
ENGINE_COMPARE(ne, compare<T>(input, other, y, kLess | kGreater | kUnordered))
ENGINE_COMPARE(lt, compare<T>(input, other, y, kLess))
ENGINE_COMPARE(le, compare<T>(input, other, y, kLess | kEqual))
ENGINE_COMPARE(gt, compare<T>(input, other, y, kGreater))
ENGINE_COMPARE(ge, compare<T>(input, other, y, kGreater | kEqual))
ENGINE_COMPARE(logical_and, combine<T>(input, other, y, kAnd))
ENGINE_COMPARE(logical_or, combine<T>(input, other, y, kOr))
ENGINE_COMPARE(logical_xor, combine<T>(input, other, y, kXor))

template <class T>
void logical_not(In input, Out y) {
  const T nothing = {};
  const View zero = number(*y.v, nothing);
  compare<T>(input, {&zero}, y, kEqual);
}
template <class T>
void isnan(In input, Out y) {
  classify<T>(input, y, kNaN);
}
template <class T>
void isinf(In input, Out y) {
  classify<T>(input, y, kInfinite);
}
template <class T>
void isfinite(In input, Out y) {
  classify<T>(input, y, kFinite);
}

template <class T>
void where(In condition, In input, In other, Out y) {
  select<T>(y.v, condition.v, input.v, other.v);
}
template <class T>
void masked_fill(In input, In mask, In value, Out y) {
  select<T>(y.v, mask.v, value.v, input.v);
}
template <class T>
void masked_fill_(InOut input, In mask, In value) {
  select<T>(input.v, mask.v, value.v, input.v);
}

} // namespace engine::cuda

#define FAMILY comparison
#include "cuda/instances.h"
