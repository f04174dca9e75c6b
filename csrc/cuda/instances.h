// Instantiates the host functions of one FAMILY for the element types of their rows, and defines those of rows that are
// ELEMENTWISE: y = <name>_<suffix>(inputs…, numbers…), a kernel of <family>.cu. The last lines of
// csrc/cuda/kernels/norm.cc are
//
//   #define FAMILY norm
//   #include "cuda/instances.h"
//
// A row without its function does not link.
#include "cuda/elementwise.h"

#define ENGINE_INSTANCE(T, suffix, name, params) template void name<T> params;

namespace engine::cuda {
#define KERNEL(name, group, params, signature, contract) FOR_##group(ENGINE_INSTANCE, name, params)
#define ELEMENTWISE(name, group, params, signature, contract)          \
  template <class T, class... P>                                       \
  void name(P... arguments) {                                          \
    static const Kernel kernel(ENGINE_QUOTE(FAMILY), named<T>(#name)); \
    map_row(kernel, arguments...);                                     \
  }                                                                    \
  KERNEL(name, group, params, signature, contract)
#include "kernels/list.h"
} // namespace engine::cuda
