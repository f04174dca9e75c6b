// Opens a kernel file: declares every row of kernels.def in the namespace of the ISA that is being compiled.
// A file that defines the family `norm` ends with:
//
//   #define FAMILY norm
//   #include "cpu/instances.h"
#pragma once
#include "kernels.h"

namespace engine::ENGINE_ISA {
#define KERNEL(family, name, group, params, signature, contract) \
  template <class T>                                             \
  void name params;
#include "kernels.def"
#undef KERNEL
} // namespace engine::ENGINE_ISA
