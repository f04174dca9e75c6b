// Which dtype operands of several dtypes are computed in: PyTorch's rules.
#pragma once
#include "core/dtype.h"

namespace engine {

// bool < integer < floating: a dtype of a lower category never widens one of a higher.
enum class Category { boolean, integer, floating };
constexpr Category category(DType t) {
  return t == DType::boolean                                    ? Category::boolean
         : t == DType::i32 || t == DType::i64 || t == DType::u8 ? Category::integer
                                                                : Category::floating;
}

DType promote(DType a, DType b);

// The result dtype of arrays with dimensions, 0-dim arrays and Python numbers (float: float32, int: int64, bool): each
// of these three kinds counts only where its category is higher than that of the kinds before it.
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
