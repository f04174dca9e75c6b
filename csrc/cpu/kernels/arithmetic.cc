// Arithmetic of two operands, element by element, forward and backward. Operands are broadcast by strides of 0.
// Integers wrap around; division by an integer zero is refused before anything is written.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/elementwise.h"

namespace engine::ENGINE_ISA {

// ---- the ops on elements

struct Add {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return T(W<T>(a) + W<T>(b)); }
};
struct Sub {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return T(W<T>(a) - W<T>(b)); }
};
struct Mul {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return T(W<T>(a) * W<T>(b)); }
};
struct Div {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return a / b; }
};

// A NaN in either operand is the result.
struct Maximum {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return a > b || a != a ? a : b; }
};
struct Minimum {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) { return a < b || a != a ? a : b; }
};

ENGINE_INLINE
float fmod_of(float a, float b) { return __builtin_fmodf(a, b); }
ENGINE_INLINE
double fmod_of(double a, double b) { return __builtin_fmod(a, b); }
ENGINE_INLINE
float floor_of(float a) { return __builtin_floorf(a); }
ENGINE_INLINE
double floor_of(double a) { return __builtin_floor(a); }
ENGINE_INLINE
float pow_of(float a, float b) { return __builtin_powf(a, b); }
ENGINE_INLINE
double pow_of(double a, double b) { return __builtin_pow(a, b); }
ENGINE_INLINE
float log_of(float a) { return __builtin_logf(a); }
ENGINE_INLINE
double log_of(double a) { return __builtin_log(a); }
ENGINE_INLINE
float sqrt_of(float a) { return __builtin_sqrtf(a); }
ENGINE_INLINE
double sqrt_of(double a) { return __builtin_sqrt(a); }

// The remainder has the divisor's sign, as in Python.
struct Remainder {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) {
    if constexpr (is_float<T>) {
      const T r = fmod_of(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    } else {
      if (b == T(-1)) return sizeof(T) == 1 ? T(a % b) : T(0); // the smallest integer % -1 would trap
      const T r = T(a % b);
      return r != 0 && (r < 0) != (b < 0) ? T(r + b) : r;
    }
  }
};
// Rounded towards minus infinity, as in Python.
struct FloorDivide {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) {
    if constexpr (is_float<T>) {
      if (b == 0) return a / b;
      const T r = fmod_of(a, b);
      T q = (a - r) / b;
      if (r != 0 && (r < 0) != (b < 0)) q -= 1;
      if (q == 0) return __builtin_copysign(T(0), a / b);
      const T f = floor_of(q);
      return q - f > T(0.5) ? f + 1 : f;
    } else {
      if (b == T(-1) && sizeof(T) > 1) return T(-W<T>(a));
      const T q = T(a / b), r = T(a % b);
      return r != 0 && (r < 0) != (b < 0) ? T(q - 1) : q;
    }
  }
};

struct Pow {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T b) {
    if constexpr (is_float<T>) {
      return pow_of(a, b);
    } else {
      if (b < 0) return a == 1 ? T(1) : a == T(-1) ? (b & 1 ? T(-1) : T(1)) : T(0);
      W<T> result = 1, square = W<T>(a);
      for (W<T> n = W<T>(b); n; n >>= 1) {
        if (n & 1) result = W<T>(result * square);
        square = W<T>(square * square);
      }
      return T(result);
    }
  }
};
struct Square {
  template <class T>
  static ENGINE_INLINE
  T of(T a) { return a * a; }
};
struct Cube {
  template <class T>
  static ENGINE_INLINE
  T of(T a) { return a * a * a; }
};
struct Root {
  template <class T>
  static ENGINE_INLINE
  T of(T a) { return sqrt_of(a); }
};
struct Reciprocal {
  template <class T>
  static ENGINE_INLINE
  T of(T a) { return T(1) / a; }
};

struct Clamp {
  template <class T>
  static ENGINE_INLINE
  T of(T a, T low, T high) {
    const T raised = a < low ? low : a;
    return raised > high ? high : raised;
  }
};

// ---- forward

template <class T>
void add(In input, In other, Out y) {
  map2<Add, T, T>(y, input, other);
}
template <class T>
void sub(In input, In other, Out y) {
  map2<Sub, T, T>(y, input, other);
}
template <class T>
void mul(In input, In other, Out y) {
  map2<Mul, T, T>(y, input, other);
}
template <class T>
void div(In input, In other, Out y) {
  map2<Div, T, T>(y, input, other);
}
template <class T>
void maximum(In input, In other, Out y) {
  map2<Maximum, T, T>(y, input, other);
}
template <class T>
void minimum(In input, In other, Out y) {
  map2<Minimum, T, T>(y, input, other);
}

// In place: other is of input's dtype.
template <class T>
void add_(InOut input, In other) {
  map2<Add, T, T>(input, input, other);
}
template <class T>
void sub_(InOut input, In other) {
  map2<Sub, T, T>(input, input, other);
}
template <class T>
void mul_(InOut input, In other) {
  map2<Mul, T, T>(input, input, other);
}
template <class T>
void div_(InOut input, In other) {
  map2<Div, T, T>(input, input, other);
}

template <class T>
static void refuse_zeros(const char* op, In other) {
  if constexpr (!is_float<T>) {
    bool any = false; // several threads may write it, all of them true
    const View* views[1] = {other.v};
    for_each_row<1>(views, [&](const int64_t* at, const int64_t* step, int64_t n) {
      const T* b = other.data<T>() + at[0];
      int64_t zeros = 0;
      for (int64_t i = 0; i < (step[0] ? n : 1); i++) zeros += b[i * step[0]] == 0;
      if (zeros) __atomic_store_n(&any, true, __ATOMIC_RELAXED);
    });
    if (any) raise_value(op, "other", "integers other than 0", "0");
  }
}

template <class T>
void floor_divide(In input, In other, Out y) {
  refuse_zeros<T>("floor_divide", other);
  map2<FloorDivide, T, T>(y, input, other);
}
template <class T>
void remainder(In input, In other, Out y) {
  refuse_zeros<T>("remainder", other);
  map2<Remainder, T, T>(y, input, other);
}

// The exponents that models use, if all elements have the same one, cost no more than a product.
template <class T>
static bool pow_of_one_exponent(In input, In exponent, Out y) {
  if constexpr (is_float<T>) {
    for (int i = 0; i < exponent.ndim(); i++)
      if (exponent.size(i) == 0 || (exponent.stride(i) && exponent.size(i) != 1)) return false;
    const T b = *exponent.data<T>();
    if (b == 2) return map1<Square, T, T>(y, input), true;
    if (b == 3) return map1<Cube, T, T>(y, input), true;
    if (b == T(0.5)) return map1<Root, T, T>(y, input), true;
    if (b == -1) return map1<Reciprocal, T, T>(y, input), true;
  }
  return false;
}

template <class T>
void pow(In input, In exponent, Out y) {
  if (!pow_of_one_exponent<T>(input, exponent, y)) map2<Pow, T, T>(y, input, exponent);
}

template <class T>
static void clamp_to(Param y, In input, Opt min, Opt max) {
  if (min && max)
    map3<Clamp, T, T>(y, input, min, max);
  else if (min)
    map2<Maximum, T, T>(y, input, min);
  else
    map2<Minimum, T, T>(y, input, max);
}
template <class T>
void clamp(In input, Opt min, Opt max, Out y) {
  clamp_to<T>(y, input, min, max);
}
template <class T>
void clamp_(InOut input, Opt min, Opt max) {
  In same;
  same.v = input.v;
  clamp_to<T>(input, same, min, max);
}

// ---- backward

struct DivBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T other, T y) { return -dy * y / other; }
};
template <class T>
void div_backward(In dy, In other, In y, Out dother) {
  map3<DivBackward, T, T>(dother, dy, other, y);
}

struct PowBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T b) { return b == 0 ? T(0) : b == 2 ? T(2) * dy * a : dy * b * pow_of(a, b - 1); }
};
template <class T>
void pow_backward(In dy, In input, In exponent, Out dinput) {
  map3<PowBackward, T, T>(dinput, dy, input, exponent);
}

// y = input ^ exponent, so y's zeros at input 0 meet a logarithm of minus infinity: the limit there is 0.
struct PowBackwardExponent {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T y) { return a == 0 && y <= 1 ? T(0) : dy * y * log_of(a); }
};
template <class T>
void pow_backward_exponent(In dy, In input, In y, Out dexponent) {
  map3<PowBackwardExponent, T, T>(dexponent, dy, input, y);
}

// Where both operands are equal each gets half.
struct MaximumBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T b) { return a == b ? dy * T(0.5) : a < b ? T(0) : dy; }
};
template <class T>
void maximum_backward(In dy, In input, In other, Out dinput) {
  map3<MaximumBackward, T, T>(dinput, dy, input, other);
}
struct MinimumBackward {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T b) { return a == b ? dy * T(0.5) : a > b ? T(0) : dy; }
};
template <class T>
void minimum_backward(In dy, In input, In other, Out dinput) {
  map3<MinimumBackward, T, T>(dinput, dy, input, other);
}

// The gradient passes where min <= input <= max.
struct PassFrom {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T low) { return a >= low ? dy : T(0); }
};
struct PassUpTo {
  template <class T>
  static ENGINE_INLINE
  T of(T dy, T a, T high) { return a <= high ? dy : T(0); }
};
template <class T>
void clamp_backward(In dy, In input, Opt min, Opt max, Out dinput) {
  if (min) map3<PassFrom, T, T>(dinput, dy, input, min);
  if (min && max)
    map3<PassUpTo, T, T>(dinput, dinput, input, max);
  else if (max)
    map3<PassUpTo, T, T>(dinput, dy, input, max);
}

} // namespace engine::ENGINE_ISA

#define FAMILY arithmetic
#include "cpu/instances.h"
