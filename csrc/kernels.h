// The list kernels.def made into a table of function pointers. Each backend fills one; a backend that lacks a kernel
// does not compile or link.
#pragma once
#include "core/dtype.h"
#include "core/view.h"

namespace engine {

template <class Params>
struct Slots;
template <class... Params>
struct Slots<void(Params...)> {
  using Fn = void (*)(Params...);
  Fn by_dtype[kNumDTypes]; // null where the row's group leaves the dtype out
};

struct Kernels {
#define KERNEL(family, name, group, params, signature, contract) Slots<void params> name;
#include "kernels.def"
#undef KERNEL
};

// A row's group lists the element types T it exists for, in the order of DType.
#define ENGINE_SLOTS_F32(name) \
  {                            \
    { name<float> }            \
  }
#define ENGINE_SLOTS_FLOAT(name)  \
  {                               \
    { name<float>, name<double> } \
  }
#define ENGINE_SLOTS_WIDE(name)                           \
  {                                                       \
    { name<float>, name<double>, nullptr, name<int64_t> } \
  }
#define ENGINE_SLOTS_REAL(name)                                                \
  {                                                                            \
    { name<float>, name<double>, name<int32_t>, name<int64_t>, name<uint8_t> } \
  }
#define ENGINE_SLOTS_LOGIC(name)                                                           \
  {                                                                                        \
    { name<float>, name<double>, name<int32_t>, name<int64_t>, name<uint8_t>, name<bool> } \
  }
#define ENGINE_SLOTS_ALL(name)                                                                            \
  {                                                                                                       \
    {                                                                                                     \
      name<float>, name<double>, name<int32_t>, name<int64_t>, name<uint8_t>, name<bool>, name<BFloat16>, \
          name<Float16>                                                                                   \
    }                                                                                                     \
  }

} // namespace engine
