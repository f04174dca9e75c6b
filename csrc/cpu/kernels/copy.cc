// Moving elements: strided copies with conversion, and filling.
//
// One walk over the views serves every pair of dtypes; a pair is a function that moves one run of elements. Copies
// within a dtype go by the element's size. A run that is contiguous on both sides is a loop of its own, which
// vectorises.
#include "core/view.h"
#include "cpu/convert.h"
#include "cpu/groups.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/strided.h"

namespace engine::ENGINE_ISA {

namespace {

// Moves n elements; steps in elements. dst and src point at the first.
using Run = void (*)(void* dst, const void* src, int64_t dst_step, int64_t src_step, int64_t n);

template <class D, class S>
void run(void* dst, const void* src, int64_t dst_step, int64_t src_step, int64_t n) {
  D* d = static_cast<D*>(dst);
  const S* s = static_cast<const S*>(src);
  if (dst_step == 1 && src_step == 1) {
    for (int64_t i = 0; i < n; i++) d[i] = convert<D>(s[i]);
  } else {
#pragma GCC unroll 1
    for (int64_t i = 0; i < n; i++) d[i * dst_step] = convert<D>(s[i * src_step]);
  }
}

template <class D>
Run run_from(DType source) {
  switch (source) {
#define ENGINE_RUN(S)      \
  case dtype_of<S>::value: \
    return run<D, S>;
    FOR_STORED(ENGINE_RUN)
  }
  return nullptr;
}

Run run_of_size(int64_t bytes) {
  return bytes == 1   ? run<uint8_t, uint8_t>
         : bytes == 2 ? run<uint16_t, uint16_t>
         : bytes == 4 ? run<int32_t, int32_t>
                      : run<int64_t, int64_t>;
}

} // namespace

template <class T>
void copy(InOut dst, In src) {
  const int64_t dst_size = sizeof(T), src_size = item_size(src.dtype());
  const Run move = src.dtype() == dtype_of<T>::value ? run_of_size(dst_size) : run_from<T>(src.dtype());
  const View* views[2] = {dst.v, src.v};
  char* to = static_cast<char*>(dst.v->data);
  const char* from = static_cast<const char*>(src.v->data);
  for_each_row<2>(views, [=](const int64_t* at, const int64_t* step, int64_t n) {
    move(to + at[0] * dst_size, from + at[1] * src_size, step[0], step[1], n);
  });
}

template <class T>
void fill(InOut dst, double value) {
  const View* views[1] = {dst.v};
  T* to = dst.data<T>();
  const T x = convert<T>(value);
  for_each_row<1>(views, [=](const int64_t* at, const int64_t* step, int64_t n) {
    T* d = to + at[0];
    for (int64_t i = 0; i < n; i++) d[i * step[0]] = x;
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY copy
#include "cpu/instances.h"
