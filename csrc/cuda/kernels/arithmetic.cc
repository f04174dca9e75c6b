// Arithmetic of two operands and its gradients: launches of those that do not follow from their rows.
#include <type_traits>

#include "cuda/elementwise.h"

namespace engine::cuda {
namespace {

template <class T>
constexpr bool kIsBool = std::is_same_v<T, bool>;

// The kernel of that name; of bool it is that of its bytes.
template <class T>
Kernel kernel_of(const char* name) {
  return Kernel("arithmetic", named<std::conditional_t<kIsBool<T>, uint8_t, T>>(name));
}

} // namespace

// NAME(input, other, y), by the kernel NAME or that which does the same to bool.
#define ENGINE_BINARY(NAME, OF_BOOL)                                          \
  template <class T>                                                          \
  void NAME(In input, In other, Out y) {                                      \
    static const Kernel kernel = kernel_of<T>(kIsBool<T> ? #OF_BOOL : #NAME); \
    map(kernel, {y.v, input.v, other.v});                                     \
  }
#define ENGINE_IN_PLACE(NAME)             \
  template <class T>                      \
  void NAME##_(InOut input, In other) {   \
    NAME<T>({input.v}, other, {input.v}); \
  }
ENGINE_BINARY(add, maximum)
ENGINE_BINARY(sub, sub)
ENGINE_BINARY(mul, minimum)
ENGINE_BINARY(div, div)
ENGINE_BINARY(maximum, maximum)
ENGINE_BINARY(minimum, minimum)
ENGINE_IN_PLACE(add)
ENGINE_IN_PLACE(sub)
ENGINE_IN_PLACE(mul)
ENGINE_IN_PLACE(div)

// A divisor that the host knows is checked here, the others by the kernel.
#define ENGINE_DIVISION(NAME)                                                        \
  template <class T>                                                                 \
  void NAME(In input, In other, Out y) {                                             \
    static const Kernel kernel = kernel_of<T>(#NAME);                                \
    if constexpr (kIsFloat<T>) {                                                     \
      map(kernel, {y.v, input.v, other.v});                                          \
    } else {                                                                         \
      static const int site = fault_site(#NAME, "other", Wrong::zero);               \
      if (other.v->device == kCpu && y.numel() && *other.data<T>() == 0)             \
        throw Error(ErrorKind::value, #NAME, "other", "integers other than 0", "0"); \
      map(kernel, {y.v, input.v, other.v}, faults(), site);                          \
    }                                                                                \
  }
ENGINE_DIVISION(floor_divide)
ENGINE_DIVISION(remainder)

template <class T>
void pow(In input, In exponent, Out y) {
  static const Kernel kernel = kernel_of<T>("pow");
  if constexpr (kIsFloat<T>) { // one exponent that models use costs no more than a product
    if (exponent.v->device == kCpu) {
      float b;
      if constexpr (std::is_same_v<T, float>) {
        b = *exponent.data<float>();
      } else {
        const uint32_t bits = uint32_t(exponent.data<BFloat16>()->bits) << 16;
        memcpy(&b, &bits, 4);
      }
      static const Kernel root("unary", named<T>("sqrt")), reciprocal("unary", named<T>("reciprocal"));
      if (b == 2) return mul<T>(input, input, y);
      if (b == 0.5f) return map(root, {y.v, input.v});
      if (b == -1) return map(reciprocal, {y.v, input.v});
    }
  }
  map(kernel, {y.v, input.v, exponent.v});
}

// ---- bounds: as on the CPU, a bound that is NaN counts only where it is the only one

namespace {

template <class T>
void clamp_to(const View* y, const View* input, Opt min, Opt max) {
  static const Kernel kernel = kernel_of<T>("clamp"), raise = kernel_of<T>("maximum"), lower = kernel_of<T>("minimum");
  if (min && max)
    map(kernel, {y, input, min.v, max.v});
  else if (min)
    map(raise, {y, input, min.v});
  else if (max)
    map(lower, {y, input, max.v});
}

} // namespace

template <class T>
void clamp(In input, Opt min, Opt max, Out y) {
  clamp_to<T>(y.v, input.v, min, max);
}
template <class T>
void clamp_(InOut input, Opt min, Opt max) {
  clamp_to<T>(input.v, input.v, min, max);
}
template <class T>
void clamp_backward(In dy, In input, Opt min, Opt max, Out dinput) {
  static const Kernel kernel = kernel_of<T>("clamp_backward");
  if (!min && !max) return;
  T lowest, highest; // no bound is an infinite one
  if constexpr (std::is_same_v<T, float>)
    lowest = -__builtin_inff(), highest = __builtin_inff();
  else
    lowest.bits = 0xff80, highest.bits = 0x7f80;
  const View low = number(*dinput.v, lowest), high = number(*dinput.v, highest);
  map(kernel, {dinput.v, dy.v, input.v, min ? min.v : &low, max ? max.v : &high});
}

} // namespace engine::cuda

#define FAMILY arithmetic
#include "cuda/instances.h"
