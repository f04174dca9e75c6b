// Functions of one operand, element by element, forward and backward.
#include "core/view.h"
#include "cpu/elementwise.h"
#include "cpu/vmath.h"

namespace engine::ENGINE_ISA {

// Defines NAME(input, y) as y = EXPRESSION of each element a; F names the struct.
#define ENGINE_UNARY(F, NAME, EXPRESSION) \
  struct F {                              \
    template <class T>                    \
    static ENGINE_INLINE                  \
    T of(T a) { return EXPRESSION; }      \
  };                                      \
  template <class T>                      \
  void NAME(In input, Out y) {            \
    map1<F, T, T>(y, input);              \
  }

#define ENGINE_LIBM(name, x) (sizeof(x) == 4 ? T(__builtin_##name##f(float(x))) : T(__builtin_##name(double(x))))

ENGINE_UNARY(Neg, neg, T(-W<T>(a)))
ENGINE_UNARY(Abs, abs, a < 0 ? T(-W<T>(a)) : a == 0 ? T(0) : a)
ENGINE_UNARY(Sign, sign, T((a > 0) - (a < 0)))
ENGINE_UNARY(Sqrt, sqrt, ENGINE_LIBM(sqrt, a))
ENGINE_UNARY(Rsqrt, rsqrt, T(1) / ENGINE_LIBM(sqrt, a))
ENGINE_UNARY(Sin, sin, ENGINE_LIBM(sin, a))
ENGINE_UNARY(Cos, cos, ENGINE_LIBM(cos, a))
ENGINE_UNARY(Floor, floor, ENGINE_LIBM(floor, a))
ENGINE_UNARY(Ceil, ceil, ENGINE_LIBM(ceil, a))
ENGINE_UNARY(Round, round, ENGINE_LIBM(rint, a))

// y = f(a) of vectors.
template <class F, class T>
static void vector_loop(int64_t n, void* out, void* const* x) {
  constexpr int L = simd::kLanes<T>;
  T* y = static_cast<T*>(out);
  const T* a = static_cast<const T*>(x[0]);
  int64_t i = 0;
  for (; i + L <= n; i += L) simd::store(y + i, F::of(simd::load(a + i)));
  if (i < n) simd::store_n(y + i, F::of(simd::load_n(a + i, n - i)), n - i);
}
struct Exp {
  template <class U>
  static ENGINE_INLINE
  U of(U a) { return simd::exp(a); }
};
template <class T>
void exp(In input, Out y) {
  const View* views[2] = {y.v, input.v};
  map<2>(views, vector_loop<Exp, T>);
}
struct Log {
  template <class U>
  static ENGINE_INLINE
  U of(U a) { return simd::log(a); }
};
template <class T>
void log(In input, Out y) {
  const View* views[2] = {y.v, input.v};
  map<2>(views, vector_loop<Log, T>);
}

template <class T>
void neg_(InOut input) {
  map1<Neg, T, T>(input, input);
}

struct AbsBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x) { return x > 0 ? dy : x < 0 ? -dy : T(0); }
};
template <class T>
void abs_backward(In dy, In input, Out dinput) {
  map2<AbsBackward, T, T>(dinput, dy, input);
}

struct SqrtBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T y) { return dy / (y + y); }
};
template <class T>
void sqrt_backward(In dy, In y, Out dinput) {
  map2<SqrtBackward, T, T>(dinput, dy, y);
}

struct RsqrtBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T y) { return T(-0.5) * dy * (y * y * y); }
};
template <class T>
void rsqrt_backward(In dy, In y, Out dinput) {
  map2<RsqrtBackward, T, T>(dinput, dy, y);
}

struct SinBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x) { return dy * ENGINE_LIBM(cos, x); }
};
template <class T>
void sin_backward(In dy, In input, Out dinput) {
  map2<SinBackward, T, T>(dinput, dy, input);
}
struct CosBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T x) { return -dy * ENGINE_LIBM(sin, x); }
};
template <class T>
void cos_backward(In dy, In input, Out dinput) {
  map2<CosBackward, T, T>(dinput, dy, input);
}

} // namespace engine::ENGINE_ISA

#define FAMILY unary
#include "cpu/instances.h"
