// What of the CUDA driver API the simulator offers, declared without the CUDA toolkit. Names, values and calling
// convention are those of NVIDIA's <cuda.h>; a test compares every one of them with the real header where a toolkit is
// found.
//
// F(name in cuda.h, exported symbol, parameters): the symbol carries the ABI version that <cuda.h> hides behind macros.
#pragma once
#include <cstddef>

extern "C" {
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st* CUcontext;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;
typedef struct CUmemPoolHandle_st* CUmemoryPool;
}
enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_ASSERT = 710,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_UNKNOWN = 999
};
enum CUdevice_attribute : int {
  CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
  CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING = 41,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR = 81,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
  CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED = 115
};
enum CUfunction_attribute : int {
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES = 3,
  CU_FUNC_ATTRIBUTE_NUM_REGS = 4,
  CU_FUNC_ATTRIBUTE_PTX_VERSION = 5,
  CU_FUNC_ATTRIBUTE_BINARY_VERSION = 6,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
};
enum CUjit_option : int { CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };
enum CUmemPool_attribute : int { CU_MEMPOOL_ATTR_RELEASE_THRESHOLD = 4 };
enum CUpointer_attribute : int {
  CU_POINTER_ATTRIBUTE_CONTEXT = 1,
  CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9
};
enum CUmemorytype : unsigned { CU_MEMORYTYPE_HOST = 1, CU_MEMORYTYPE_DEVICE = 2 };
enum : unsigned {
  CU_STREAM_DEFAULT = 0,
  CU_STREAM_NON_BLOCKING = 1,
  CU_EVENT_DEFAULT = 0,
  CU_EVENT_DISABLE_TIMING = 2
};

#define CUDA_DRIVER_API(F)                                                                                         \
  F(cuInit, cuInit, (unsigned flags))                                                                              \
  F(cuDriverGetVersion, cuDriverGetVersion, (int* version))                                                        \
  F(cuDeviceGetCount, cuDeviceGetCount, (int* count))                                                              \
  F(cuDeviceGet, cuDeviceGet, (CUdevice * device, int ordinal))                                                    \
  F(cuDeviceGetName, cuDeviceGetName, (char* name, int length, CUdevice device))                                   \
  F(cuDeviceGetAttribute, cuDeviceGetAttribute, (int* value, CUdevice_attribute attribute, CUdevice device))       \
  F(cuDeviceTotalMem, cuDeviceTotalMem_v2, (size_t* bytes, CUdevice device))                                       \
  F(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                    \
  F(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                    \
  F(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, (CUdevice device))                                        \
  F(cuCtxSetCurrent, cuCtxSetCurrent, (CUcontext context))                                                         \
  F(cuCtxGetCurrent, cuCtxGetCurrent, (CUcontext * context))                                                       \
  F(cuCtxSynchronize, cuCtxSynchronize, (void))                                                                    \
  F(cuModuleLoadData, cuModuleLoadData, (CUmodule * module, const void* image))                                    \
  F(cuModuleLoadDataEx, cuModuleLoadDataEx,                                                                        \
    (CUmodule * module, const void* image, unsigned n, CUjit_option* options, void** values))                      \
  F(cuModuleUnload, cuModuleUnload, (CUmodule module))                                                             \
  F(cuModuleGetFunction, cuModuleGetFunction, (CUfunction * function, CUmodule module, const char* name))          \
  F(cuModuleGetGlobal, cuModuleGetGlobal_v2,                                                                       \
    (CUdeviceptr * pointer, size_t* bytes, CUmodule module, const char* name))                                     \
  F(cuFuncGetAttribute, cuFuncGetAttribute, (int* value, CUfunction_attribute attribute, CUfunction function))     \
  F(cuFuncSetAttribute, cuFuncSetAttribute, (CUfunction function, CUfunction_attribute attribute, int value))      \
  F(cuFuncGetParamInfo, cuFuncGetParamInfo, (CUfunction function, size_t index, size_t* offset, size_t* size))     \
  F(cuLaunchKernel, cuLaunchKernel,                                                                                \
    (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,            \
     unsigned shared, CUstream stream, void** arguments, void** extra))                                            \
  F(cuMemAlloc, cuMemAlloc_v2, (CUdeviceptr * pointer, size_t bytes))                                              \
  F(cuMemFree, cuMemFree_v2, (CUdeviceptr pointer))                                                                \
  F(cuMemAllocAsync, cuMemAllocAsync, (CUdeviceptr * pointer, size_t bytes, CUstream stream))                      \
  F(cuMemFreeAsync, cuMemFreeAsync, (CUdeviceptr pointer, CUstream stream))                                        \
  F(cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (CUmemoryPool * pool, CUdevice device))                  \
  F(cuMemPoolSetAttribute, cuMemPoolSetAttribute, (CUmemoryPool pool, CUmemPool_attribute attribute, void* value)) \
  F(cuMemGetInfo, cuMemGetInfo_v2, (size_t* available, size_t* total))                                             \
  F(cuMemcpyHtoD, cuMemcpyHtoD_v2, (CUdeviceptr to, const void* from, size_t bytes))                               \
  F(cuMemcpyDtoH, cuMemcpyDtoH_v2, (void* to, CUdeviceptr from, size_t bytes))                                     \
  F(cuMemcpyDtoD, cuMemcpyDtoD_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes))                               \
  F(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void* from, size_t bytes, CUstream stream))    \
  F(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void* to, CUdeviceptr from, size_t bytes, CUstream stream))          \
  F(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))    \
  F(cuMemsetD8, cuMemsetD8_v2, (CUdeviceptr to, unsigned char value, size_t count))                                \
  F(cuMemsetD32, cuMemsetD32_v2, (CUdeviceptr to, unsigned value, size_t count))                                   \
  F(cuMemsetD8Async, cuMemsetD8Async, (CUdeviceptr to, unsigned char value, size_t count, CUstream stream))        \
  F(cuMemsetD32Async, cuMemsetD32Async, (CUdeviceptr to, unsigned value, size_t count, CUstream stream))           \
  F(cuMemHostAlloc, cuMemHostAlloc, (void** pointer, size_t bytes, unsigned flags))                                \
  F(cuMemFreeHost, cuMemFreeHost, (void* pointer))                                                                 \
  F(cuStreamCreate, cuStreamCreate, (CUstream * stream, unsigned flags))                                           \
  F(cuStreamDestroy, cuStreamDestroy_v2, (CUstream stream))                                                        \
  F(cuStreamSynchronize, cuStreamSynchronize, (CUstream stream))                                                   \
  F(cuStreamQuery, cuStreamQuery, (CUstream stream))                                                               \
  F(cuStreamWaitEvent, cuStreamWaitEvent, (CUstream stream, CUevent event, unsigned flags))                        \
  F(cuEventCreate, cuEventCreate, (CUevent * event, unsigned flags))                                               \
  F(cuEventDestroy, cuEventDestroy_v2, (CUevent event))                                                            \
  F(cuEventRecord, cuEventRecord, (CUevent event, CUstream stream))                                                \
  F(cuEventSynchronize, cuEventSynchronize, (CUevent event))                                                       \
  F(cuEventQuery, cuEventQuery, (CUevent event))                                                                   \
  F(cuEventElapsedTime, cuEventElapsedTime, (float* milliseconds, CUevent start, CUevent end))                     \
  F(cuGetErrorName, cuGetErrorName, (CUresult error, const char** name))                                           \
  F(cuGetErrorString, cuGetErrorString, (CUresult error, const char** text))                                       \
  F(cuCtxGetDevice, cuCtxGetDevice, (CUdevice * device))                                                           \
  F(cuPointerGetAttribute, cuPointerGetAttribute, (void* data, CUpointer_attribute attribute, CUdeviceptr pointer))
