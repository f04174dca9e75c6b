// Functions of one operand and their gradients, element by element, in float32 (CUDA's accurate functions: 2 units in
// the last place or better). The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

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
FOR_REAL(MAP1, neg, Neg)
FOR_FLOAT(MAP1, abs, Abs)
MAP1(int32_t, i32, abs, Abs)
MAP1(int64_t, i64, abs, Abs)
FOR_REAL(MAP1, sign, Sign)

FUNCTION(exp, Heavy, expf(x))
FUNCTION(log, Heavy, logf(x))
FUNCTION(sqrt, Heavy, sqrtf(x))
FUNCTION(rsqrt, Heavy, rsqrtf(x))
FUNCTION(reciprocal, Heavy, 1.f / x) // pow's
FUNCTION(floor, Light, floorf(x))
FUNCTION(ceil, Light, ceilf(x))
FUNCTION(round, Light, rintf(x))
FUNCTION(sin, Huge, sinf(x)) // large arguments are reduced with as many digits of pi as they need
FUNCTION(cos, Huge, cosf(x))

GRADIENT(abs_backward, Light, x > 0 ? g : x < 0 ? -g : 0.f)
GRADIENT(sqrt_backward, Heavy, g / (x + x))
GRADIENT(rsqrt_backward, Light, -0.5f * g * (x * x * x))
GRADIENT(sin_backward, Huge, (g * cosf(x)))
GRADIENT(cos_backward, Huge, -g* sinf(x))
