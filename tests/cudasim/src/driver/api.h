// What of the CUDA driver API the simulator offers: all that engine uses (csrc/cuda/driver_api.h, compared with
// NVIDIA's <cuda.h> where a toolkit is found), and what other libraries ask of memory that they are handed.
#pragma once
#include "../../../../csrc/cuda/driver_api.h"

enum CUpointer_attribute : int {
  CU_POINTER_ATTRIBUTE_CONTEXT = 1,
  CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9
};
enum CUmemorytype : unsigned { CU_MEMORYTYPE_HOST = 1, CU_MEMORYTYPE_DEVICE = 2 };

#define CUDASIM_API(F)                                   \
  CUDA_DRIVER_API(F, F)                                  \
  F(cuCtxGetDevice, cuCtxGetDevice, (CUdevice * device)) \
  F(cuPointerGetAttribute, cuPointerGetAttribute, (void* data, CUpointer_attribute attribute, CUdeviceptr pointer))
