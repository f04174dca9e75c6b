// A kernel's functions, one for each element type.
#pragma once
#include "core/dtype.h"
#include "core/view.h"

namespace engine {

template <class Params>
struct Slots;
template <class... Params>
struct Slots<void(Params...)> {
  using Fn = void (*)(Params...);
  Fn by_dtype[kNumDTypes] = {}; // null where the row's group leaves the dtype out

  template <class T>
  constexpr Slots with(Fn function) const {
    Slots all = *this;
    all.by_dtype[int(dtype_of<T>::value)] = function;
    return all;
  }
};

} // namespace engine
