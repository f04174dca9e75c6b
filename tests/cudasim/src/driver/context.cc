// Devices, contexts, errors.
#include <unistd.h>

#include <cstdio>

#include "../config.h"
#include "../memory.h"
#include "limits.h"
#include "state.h"

using namespace cudasim;

CUresult cuInit(unsigned flags) {
  const Call call(Call::kNothing);
  CUDASIM_REQUIRE(flags == 0, CUDA_ERROR_INVALID_VALUE);
  if (driver.initialised) return CUDA_SUCCESS;
  read_device_config();
  CUDASIM_REQUIRE(config.devices > 0, CUDA_ERROR_NO_DEVICE);
  reserve_memory();
  driver.contexts.resize(size_t(config.devices));
  for (int d = 0; d < config.devices; ++d) driver.contexts[size_t(d)].device = d;
  driver.initialised = true;
  driver.owner = getpid();
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  CUDASIM_REQUIRE(version, CUDA_ERROR_INVALID_VALUE);
  *version = config.driver;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  CUDASIM_ENTER(Driver);
  *count = config.devices;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(ordinal), CUDA_ERROR_INVALID_DEVICE);
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  snprintf(name, size_t(length), "cudasim: PTX simulator, no GPU");
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  *bytes = config.memory;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  switch (int(attribute)) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = kMaxThreads;
      break;
    case 2: // largest block, x and y
    case 3:
      *value = kMaxThreads;
      break;
    case 4:
      *value = kMaxBlockZ;
      break;
    case 5:
      *value = kMaxGridX;
      break;
    case 6: // largest grid, y and z
    case 7:
      *value = kMaxGridYZ;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      *value = kDefaultShared;
      break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *value = kLanes;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = kMultiprocessors;
      break;
    case 39:
      *value = 2048;
      break; // threads a multiprocessor
    case 38:
      *value = 48 << 20;
      break; // bytes of second-level cache
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      *value = 1;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = config.capability / 10;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = config.capability % 10;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      *value = shared_limit() + 1024;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = shared_limit();
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  CUctx_st& primary = driver.contexts[size_t(device)];
  primary.retained++;
  *context = &primary;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  CUctx_st& primary = driver.contexts[size_t(device)];
  CUDASIM_REQUIRE(primary.retained > 0, CUDA_ERROR_INVALID_CONTEXT);
  primary.retained--;
  return CUDA_SUCCESS;
}

// The only way out of a sticky error. The devices share one memory, so this resets all of them.
CUresult cuDevicePrimaryCtxReset_v2(CUdevice) {
  const Call call(Call::kNothing);
  driver.default_stream = CUstream_st();
  for (CUstream s : driver.streams) delete s;
  for (CUevent e : driver.events) delete e;
  for (CUmodule m : driver.modules) delete m;
  driver.streams.clear();
  driver.events.clear();
  driver.modules.clear();
  driver.kernels.clear();
  driver.sticky = kSuccess;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  const Call call(Call::kNothing);
  CUDASIM_REQUIRE(driver.initialised, CUDA_ERROR_NOT_INITIALIZED);
  const bool known = context >= driver.contexts.data() && context < driver.contexts.data() + driver.contexts.size();
  CUDASIM_REQUIRE(!context || known, CUDA_ERROR_INVALID_CONTEXT);
  current_context = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = current_context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
  CUDASIM_ENTER(Context);
  *device = current_context->device;
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
  CUDASIM_ENTER(Context);
  return result(drain());
}

namespace {

struct Error {
  CUresult code;
  const char* name;
  const char* text;
};

const Error kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {CUDA_ERROR_LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {CUDA_ERROR_ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const Error* find_error(CUresult code) {
  for (const Error& e : kErrors)
    if (e.code == code) return &e;
  return nullptr;
}

} // namespace

CUresult cuGetErrorName(CUresult code, const char** name) {
  const Error* error = find_error(code);
  *name = error ? error->name : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult code, const char** text) {
  const Error* error = find_error(code);
  *text = error ? error->text : nullptr;
  return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
