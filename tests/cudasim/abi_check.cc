// Compiled, never linked: what the simulator offers beyond csrc/cuda/driver_api.h, against NVIDIA's own <cuda.h>.
#include <cuda.h>

#include <cstddef>
#include <type_traits>
namespace ours {
#include "src/driver/api.h"
}

static_assert(std::is_same_v<decltype(&cuCtxGetDevice), CUresult (*)(CUdevice*)>);
static_assert(std::is_same_v<decltype(&cuPointerGetAttribute), CUresult (*)(void*, CUpointer_attribute, CUdeviceptr)>);
static_assert(sizeof(ours::CUpointer_attribute) == sizeof(CUpointer_attribute));
#define VALUE(name) static_assert(int(ours::name) == int(::name), #name)
VALUE(CU_POINTER_ATTRIBUTE_CONTEXT);
VALUE(CU_POINTER_ATTRIBUTE_MEMORY_TYPE);
VALUE(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
VALUE(CU_MEMORYTYPE_HOST);
VALUE(CU_MEMORYTYPE_DEVICE);
