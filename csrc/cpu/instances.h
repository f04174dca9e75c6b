// Instantiates the kernels of one FAMILY for the dtypes of their rows; a row without its kernel does not compile. The
// last lines of csrc/cpu/kernels/norm.cc are
//
//   #define FAMILY norm
//   #include "cpu/instances.h"
#include "cpu/groups.h"

#define ENGINE_INSTANCE(T, name, params) template void name<T> params;

namespace engine::ENGINE_ISA {
#define KERNEL(name, group, params, signature, contract) FOR_##group(ENGINE_INSTANCE, name, params)
#include "kernels/list.h"
} // namespace engine::ENGINE_ISA
