// Functions of one operand and their gradients, element by element, in float32 (CUDA's accurate functions: 2 units in
// the last place or better). The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

#define FUNCTION(F, Base, ...)                                                         \
  struct F : Base {                                                                    \
    __device__ __forceinline__ float operator()(float a) const { return __VA_ARGS__; } \
  };
#define GRADIENT(F, Base, ...)                                                                   \
  struct F : Base {                                                                              \
    __device__ __forceinline__ float operator()(float dy, float x) const { return __VA_ARGS__; } \
  };

struct Neg {
  __device__ __forceinline__ float operator()(float a) const { return -a; }
  __device__ __forceinline__ int32_t operator()(int32_t a) const { return int32_t(0u - uint32_t(a)); }
  __device__ __forceinline__ int64_t operator()(int64_t a) const { return int64_t(0ull - uint64_t(a)); }
  __device__ __forceinline__ uint8_t operator()(uint8_t a) const { return uint8_t(-a); }
};
struct Abs {
  __device__ __forceinline__ float operator()(float a) const { return fabsf(a); }
  template <class C>
  __device__ __forceinline__ C operator()(C a) const {
    return a < 0 ? Neg{}(a) : a;
  }
};
struct Sign {
  template <class C>
  __device__ __forceinline__ C operator()(C a) const {
    return a > 0 ? 1 : a == 0 || a != a ? 0 : C(-1);
  }
};
REALS(MAP1, neg, Neg)
FLOATS(MAP1, abs, Abs)
MAP1(abs, Abs, int32_t, i32)
MAP1(abs, Abs, int64_t, i64)
REALS(MAP1, sign, Sign)

FUNCTION(Exp, Heavy, expf(a))
FUNCTION(Log, Heavy, logf(a))
FUNCTION(Sqrt, Heavy, sqrtf(a))
FUNCTION(Rsqrt, Heavy, rsqrtf(a))
FUNCTION(Reciprocal, Heavy, 1.f / a)
FUNCTION(Floor, Light, floorf(a))
FUNCTION(Ceil, Light, ceilf(a))
FUNCTION(Round, Light, rintf(a))
FLOATS(MAP1, exp, Exp)
FLOATS(MAP1, log, Log)
FLOATS(MAP1, sqrt, Sqrt)
FLOATS(MAP1, rsqrt, Rsqrt)
FLOATS(MAP1, reciprocal, Reciprocal) // pow's
FLOATS(MAP1, floor, Floor)
FLOATS(MAP1, ceil, Ceil)
FLOATS(MAP1, round, Round)

// Large arguments of sin and cos are reduced with as many digits of pi as they need.
struct Sin : Huge {
  __device__ __forceinline__ float operator()(float a) const { return sinf(a); }
  __device__ __forceinline__ float operator()(float dy, float x) const { return dy * cosf(x); }
};
struct Cos : Huge {
  __device__ __forceinline__ float operator()(float a) const { return cosf(a); }
  __device__ __forceinline__ float operator()(float dy, float x) const { return -dy * sinf(x); }
};
FLOATS(MAP1, sin, Sin)
FLOATS(MAP1, cos, Cos)
FLOATS(MAP2, sin_backward, Sin)
FLOATS(MAP2, cos_backward, Cos)

GRADIENT(AbsBackward, Light, x > 0 ? dy : x < 0 ? -dy : 0.f)
GRADIENT(SqrtBackward, Heavy, dy / (x + x))
GRADIENT(RsqrtBackward, Light, -0.5f * dy * (x * x * x))
FLOATS(MAP2, abs_backward, AbsBackward)
FLOATS(MAP2, sqrt_backward, SqrtBackward)
FLOATS(MAP2, rsqrt_backward, RsqrtBackward)
