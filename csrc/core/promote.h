// Which dtype operands of several dtypes are computed in: PyTorch's rules.
#pragma once
#include "core/dtype.h"

namespace engine {

// bool < integer < floating: a dtype of a lower category never widens one of a higher.
enum class Category { boolean, integer, floating };
constexpr Category category(DType t) {
  switch (t) {
    case DType::boolean:
      return Category::boolean;
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u8:
      return Category::integer;
    default:
      return Category::floating;
  }
}

DType promote(DType a, DType b);

// The dtype that stands in for one without a kernel: operands are converted to it, and results back. Most dtypes have
// none but themselves. Integers wrap around in int32 as in their own dtype, once the result is cut to it.
constexpr DType computed_in(DType t) {
  return t == DType::bf16 || t == DType::f16 ? DType::f32 : t == DType::i8 || t == DType::i16 ? DType::i32 : t;
}

// What Python's floats are, and what integers become where the result is no integer: float32, unless it was changed.
DType default_dtype();
void set_default_dtype(DType t);

// The result dtype of arrays with dimensions, 0-dim arrays and Python numbers (float: the default dtype, int: int64,
// bool): each of these three kinds counts only where its category is higher than that of the kinds before it.
class ResultType {
 public:
  enum Kind { dimensioned, zero_dim, number };
  void add(DType t, Kind kind) {
    by_kind_[kind] = seen_[kind] ? promote(by_kind_[kind], t) : t;
    seen_[kind] = true;
  }
  DType get() const; // float32 where nothing was added

 private:
  DType by_kind_[3] = {};
  bool seen_[3] = {};
};

} // namespace engine
