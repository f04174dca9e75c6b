// The bits of integers, element by element. The walk is device/elementwise.cuh.
#include "cuda/device/elementwise.cuh"

struct And {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    return C(a & b);
  }
};
struct Or {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    return C(a | b);
  }
};
struct Xor {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    return C(a ^ b);
  }
};
struct Not {
  template <class C>
  __device__ __forceinline__ C operator()(C a) const {
    return C(~a);
  }
  __device__ __forceinline__ bool operator()(bool a) const { return !a; }
};
// Whether a value can be shifted by b without losing all of its bits.
template <class C>
__device__ __forceinline__ bool shifts(C b) {
  return int64_t(b) >= 0 && int64_t(b) < int64_t(sizeof(C)) * 8;
}
struct LeftShift {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    return shifts(b) ? C(uint64_t(a) << int(b)) : C(0);
  }
};
struct RightShift {
  template <class C>
  __device__ __forceinline__ C operator()(C a, C b) const {
    return shifts(b) ? C(a >> int(b)) : int64_t(a) < 0 ? C(-1) : C(0);
  }
};
FOR_WHOLE(MAP2, bitwise_and, And)
FOR_WHOLE(MAP2, bitwise_or, Or)
FOR_WHOLE(MAP2, bitwise_xor, Xor)
FOR_WHOLE(MAP1, bitwise_not, Not)
FOR_WHOLE(MAP2, bitwise_left_shift, LeftShift)
FOR_WHOLE(MAP2, bitwise_right_shift, RightShift)
