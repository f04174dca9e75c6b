// Moving elements: strided copies with conversion, and filling.
#include "cpu/convert.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/strided.h"
#include "cpu/table.h"

namespace engine::ENGINE_ISA {

template <class D, class S>
static void copy_typed(InOut dst, In src) {
  const View* views[2] = {dst.v, src.v};
  D* to = dst.data<D>();
  const S* from = src.data<S>();
  for_each_row<2>(views, [=](const int64_t* at, const int64_t* step, int64_t n) {
    D* d = to + at[0];
    const S* s = from + at[1];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; i++) d[i] = convert<D>(s[i]);
    } else if (step[0] == 1 && step[1] == 0) {
      const D value = convert<D>(*s);
      for (int64_t i = 0; i < n; i++) d[i] = value;
    } else {
      for (int64_t i = 0; i < n; i++) d[i * step[0]] = convert<D>(s[i * step[1]]);
    }
  });
}

template <class T>
void copy(InOut dst, In src) {
  switch (src.dtype()) {
    case DType::f32:
      return copy_typed<T, float>(dst, src);
    case DType::f64:
      return copy_typed<T, double>(dst, src);
    case DType::i32:
      return copy_typed<T, int32_t>(dst, src);
    case DType::i64:
      return copy_typed<T, int64_t>(dst, src);
    case DType::u8:
      return copy_typed<T, uint8_t>(dst, src);
    case DType::boolean:
      return copy_typed<T, bool>(dst, src);
    case DType::bf16:
      return copy_typed<T, BFloat16>(dst, src);
    case DType::f16:
      return copy_typed<T, Float16>(dst, src);
  }
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
