// Instantiates the kernels of one FAMILY for the dtypes of their rows; a row without its kernel does not compile. The
// last lines of csrc/cpu/kernels/norm.cc are
//
//   #define FAMILY norm
//   #include "cpu/instances.h"
//
// CMake writes a family's own rows of kernels.def to families/<family>.def, so that a new row compiles only its family
// anew.
#include "core/dtype.h"

#define ENGINE_QUOTE_(x) #x
#define ENGINE_QUOTE(x) ENGINE_QUOTE_(x)

#define ENGINE_INSTANCES_F32(name, params) template void name<float> params;
#define ENGINE_INSTANCES_FLOAT(name, params) ENGINE_INSTANCES_F32(name, params) template void name<double> params;
#define ENGINE_INSTANCES_WIDE(name, params) ENGINE_INSTANCES_FLOAT(name, params) template void name<int64_t> params;
#define ENGINE_INSTANCES_REAL(name, params)                                \
  ENGINE_INSTANCES_FLOAT(name, params) template void name<int32_t> params; \
  template void name<int64_t> params;                                      \
  template void name<uint8_t> params;
#define ENGINE_INSTANCES_LOGIC(name, params) ENGINE_INSTANCES_REAL(name, params) template void name<bool> params;
#define ENGINE_INSTANCES_ALL(name, params)                                  \
  ENGINE_INSTANCES_LOGIC(name, params) template void name<BFloat16> params; \
  template void name<Float16> params;

namespace engine::ENGINE_ISA {
#define KERNEL(family, name, group, params, signature, contract) ENGINE_INSTANCES_##group(name, params)
// clang-format off
#include ENGINE_QUOTE(families/FAMILY.def)
// clang-format on
#undef KERNEL
} // namespace engine::ENGINE_ISA
