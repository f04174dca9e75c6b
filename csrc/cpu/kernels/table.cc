// The ISA's table of kernels: the rows that the family files define.
#include "kernels.h"

namespace engine::ENGINE_ISA {
#define KERNEL(family, name, group, params, signature, contract) \
  template <class T>                                             \
  void name params;
#include "kernels.def"
#undef KERNEL

extern const Kernels table;
const Kernels table = {
#define KERNEL(family, name, group, params, signature, contract) ENGINE_SLOTS_##group(name),
#include "kernels.def"
#undef KERNEL
};
} // namespace engine::ENGINE_ISA
