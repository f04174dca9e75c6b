// Instantiates the host functions of one FAMILY for the dtypes that the device computes in: float32 and bfloat16 where
// the CPU has float32 and float64. The last lines of csrc/cuda/kernels/norm.cc are
//
//   #define FAMILY norm
//   #include "cuda/instances.h"
//
// A row without its function does not link.
#include "core/dtype.h"

#define ENGINE_QUOTE_(x) #x
#define ENGINE_QUOTE(x) ENGINE_QUOTE_(x)

#define ENGINE_INSTANCES_F32(name, params) template void name<float> params;
#define ENGINE_INSTANCES_FLOAT(name, params) ENGINE_INSTANCES_F32(name, params) template void name<BFloat16> params;
#define ENGINE_INSTANCES_WIDE(name, params) ENGINE_INSTANCES_FLOAT(name, params) template void name<int64_t> params;
#define ENGINE_INSTANCES_REAL(name, params)                                \
  ENGINE_INSTANCES_FLOAT(name, params) template void name<int32_t> params; \
  template void name<int64_t> params;                                      \
  template void name<uint8_t> params;
#define ENGINE_INSTANCES_LOGIC(name, params) ENGINE_INSTANCES_REAL(name, params) template void name<bool> params;
#define ENGINE_INSTANCES_ALL(name, params) ENGINE_INSTANCES_LOGIC(name, params) template void name<Float16> params;

namespace engine::cuda {
#define KERNEL(family, name, group, params, signature, contract) ENGINE_INSTANCES_##group(name, params)
// clang-format off
#include ENGINE_QUOTE(families/FAMILY.def)
// clang-format on
#undef KERNEL
} // namespace engine::cuda
