// Arithmetic of two operands and its gradients, element by element. Integers wrap around; bool's sums and products are
// maxima and minima of bytes. The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

// Defines F as a function object that returns the body's value.
#define FUNCTION2(F, Base, ...)                               \
  struct F : Base {                                           \
    template <class C>                                        \
    __device__ __forceinline__ C operator()(C a, C b) const { \
      __VA_ARGS__                                             \
    }                                                         \
  };
#define FUNCTION3(F, Base, A, B, X, ...)                           \
  struct F : Base {                                                \
    template <class C>                                             \
    __device__ __forceinline__ C operator()(C A, C B, C X) const { \
      __VA_ARGS__                                                  \
    }                                                              \
  };

// What integers are computed in so that they wrap around.
__device__ __forceinline__ uint32_t wrap(int32_t x) { return static_cast<uint32_t>(x); }
__device__ __forceinline__ uint64_t wrap(int64_t x) { return static_cast<uint64_t>(x); }
__device__ __forceinline__ uint32_t wrap(uint8_t x) { return x; }
__device__ __forceinline__ float wrap(float x) { return x; }

template <class C>
constexpr bool kFloat = false;
template <>
constexpr bool kFloat<float> = true;

FUNCTION2(Add, Light, return static_cast<C>(wrap(a) + wrap(b));)
FUNCTION2(Sub, Light, return static_cast<C>(wrap(a) - wrap(b));)
FUNCTION2(Mul, Light, return static_cast<C>(wrap(a) * wrap(b));)
FUNCTION2(Div, Heavy, return a / b;)
// A NaN in either operand is the result.
FUNCTION2(Maximum, Light, return a > b || a != a ? a : b;)
FUNCTION2(Minimum, Light, return a < b || a != a ? a : b;)
FOR_REAL(MAP2, add, Add)
FOR_REAL(MAP2, sub, Sub)
FOR_REAL(MAP2, mul, Mul)
FOR_FLOAT(MAP2, div, Div)
FOR_REAL(MAP2, maximum, Maximum)
FOR_REAL(MAP2, minimum, Minimum)

// ---- division as Python has it: towards minus infinity, the remainder with the divisor's sign

struct FloorDivide : Huge {
  __device__ __forceinline__ float operator()(float a, float b) const {
    if (b == 0) return a / b;
    const float r = fmodf(a, b);
    float q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= 1;
    if (q == 0) return copysignf(0.f, a / b);
    const float f = floorf(q);
    return q - f > 0.5f ? f + 1 : f;
  }
};
struct Remainder : Huge {
  __device__ __forceinline__ float operator()(float a, float b) const {
    const float r = fmodf(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
};
FOR_FLOAT(MAP2, floor_divide, FloorDivide)
FOR_FLOAT(MAP2, remainder, Remainder)

// A divisor of 0 is a fault.
struct Divides : Huge {
  Fault* faults;
  int site;
  template <class C>
  __device__ __forceinline__ bool by(C b) const {
    if (b != 0) return true;
    fault(faults, site, 0, 0, 0);
    return false;
  }
};
struct FloorDivideIntegers : Divides {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    if (!by(b)) return 0;
    if constexpr (sizeof(C) == 1) {
      return static_cast<C>(a / b);
    } else {
      if (b == -1) return static_cast<C>(0 - wrap(a));
      const C q = a / b, r = a - q * b;
      return r != 0 && (r < 0) != (b < 0) ? q - 1 : q;
    }
  }
};
struct RemainderIntegers : Divides {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    if (!by(b)) return 0;
    if constexpr (sizeof(C) == 1) {
      return static_cast<C>(a % b);
    } else {
      if (b == -1) return 0;
      const C r = a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
  }
};
#define DIVIDE(T, suffix, name, F)                                                  \
  extern "C" __global__ void __launch_bounds__(kThreads)                            \
      name##_##suffix(const __grid_constant__ Walk<3> w, Fault* faults, int site) { \
    F f;                                                                            \
    f.faults = faults;                                                              \
    f.site = site;                                                                  \
    map<T, T, T>(w, f);                                                             \
  }
FOR_INTEGER(DIVIDE, floor_divide, FloorDivideIntegers)
FOR_INTEGER(DIVIDE, remainder, RemainderIntegers)

// ---- powers

struct Pow : Huge {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    if constexpr (kFloat<C>) {
      if (b == 2) return a * a; // exponents that models use
      if (b == 3) return a * a * a;
      return powf(a, b);
    } else {
      if constexpr (sizeof(C) > 1)
        if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
      auto result = wrap(C(1)), square = wrap(a);
      for (auto n = wrap(b); n; n >>= 1) {
        if (n & 1) result *= square;
        square *= square;
      }
      return static_cast<C>(result);
    }
  }
};
FOR_REAL(MAP2, pow, Pow)

struct PowBackward : Huge {
  __device__ __forceinline__ float operator()(float dy, float a, float b) const {
    return b == 0 ? 0.f : b == 2 ? 2.f * dy * a : dy * b * (b == 3 ? a * a : powf(a, b - 1));
  }
};
FOR_FLOAT(MAP3, pow_backward, PowBackward)

// y = input ^ exponent, so y's zeros at input 0 meet a logarithm of minus infinity: the limit there is 0.
FUNCTION3(PowBackwardExponent, Heavy, dy, a, y, return a == 0 && y <= 1 ? 0.f : dy * y * logf(a);)
FOR_FLOAT(MAP3, pow_backward_exponent, PowBackwardExponent)

// ---- bounds and the other gradients

FUNCTION3(Clamp, Light, a, low, high, const C raised = a < low ? low : a; return raised > high ? high : raised;)
FOR_REAL(MAP3, clamp, Clamp)

FUNCTION3(DivBackward, Heavy, dy, other, y, return -dy * y / other;)
FOR_FLOAT(MAP3, div_backward, DivBackward)

// Where both operands are equal each gets half.
FUNCTION3(MaximumBackward, Light, dy, a, b, return a == b ? dy * 0.5f : a < b ? 0.f : dy;)
FUNCTION3(MinimumBackward, Light, dy, a, b, return a == b ? dy * 0.5f : a > b ? 0.f : dy;)
FOR_FLOAT(MAP3, maximum_backward, MaximumBackward)
FOR_FLOAT(MAP3, minimum_backward, MinimumBackward)

// The gradient passes where low <= a <= high.
struct ClampBackward {
  __device__ __forceinline__ float operator()(float dy, float a, float low, float high) const {
    return a >= low && a <= high ? dy : 0.f;
  }
};
#define CLAMP_BACKWARD(T, suffix)                                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads) clamp_backward_##suffix(const __grid_constant__ Walk<5> w) { \
    map<T, T, T, T, T>(w, ClampBackward{});                                                                           \
  }
FOR_FLOAT(CLAMP_BACKWARD)
