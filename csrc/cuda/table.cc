// The device's table of kernels: the rows that the families' host files define. float64 stays on the CPU.
#include "kernels.h"

#define ENGINE_CUDA_SLOTS(name, f32, i32, i64, u8, boolean, bf16, f16) \
  {                                                                    \
    { f32, nullptr, i32, i64, u8, boolean, bf16, f16 }                 \
  }
#define ENGINE_CUDA_F32(name) ENGINE_CUDA_SLOTS(name, name<float>, 0, 0, 0, 0, 0, 0)
#define ENGINE_CUDA_FLOAT(name) ENGINE_CUDA_SLOTS(name, name<float>, 0, 0, 0, 0, name<BFloat16>, 0)
#define ENGINE_CUDA_WIDE(name) ENGINE_CUDA_SLOTS(name, name<float>, 0, name<int64_t>, 0, 0, name<BFloat16>, 0)
#define ENGINE_CUDA_REAL(name) \
  ENGINE_CUDA_SLOTS(name, name<float>, name<int32_t>, name<int64_t>, name<uint8_t>, 0, name<BFloat16>, 0)
#define ENGINE_CUDA_LOGIC(name) \
  ENGINE_CUDA_SLOTS(name, name<float>, name<int32_t>, name<int64_t>, name<uint8_t>, name<bool>, name<BFloat16>, 0)
#define ENGINE_CUDA_ALL(name)                                                                                   \
  ENGINE_CUDA_SLOTS(name, name<float>, name<int32_t>, name<int64_t>, name<uint8_t>, name<bool>, name<BFloat16>, \
                    name<Float16>)

namespace engine::cuda {
#define KERNEL(family, name, group, params, signature, contract) \
  template <class T>                                             \
  void name params;
#include "kernels.def"
#undef KERNEL

extern const Kernels table;
const Kernels table = {
#define KERNEL(family, name, group, params, signature, contract) ENGINE_CUDA_##group(name),
#include "kernels.def"
#undef KERNEL
};
} // namespace engine::cuda
