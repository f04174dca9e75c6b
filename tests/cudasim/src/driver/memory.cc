// Allocations and copies. In lazy mode everything happens as late as the documentation ("API synchronization behavior")
// allows: an Async copy touches host memory, pinned or not, when it runs; a synchronous copy from pageable memory has
// only staged its source when it returns.
#include "../memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../checker.h"
#include "../report.h"
#include "state.h"

using namespace cudasim;

namespace {

void* pointer(CUdeviceptr p) { return reinterpret_cast<void*>(p); }

bool is_pinned(const void* p, size_t bytes) {
  auto it = driver.pinned.upper_bound(u64(p));
  if (it == driver.pinned.begin()) return false;
  --it;
  return u64(p) + bytes <= it->first + it->second;
}

bool on_device(CUdeviceptr p, size_t bytes, const char* what) {
  if (device_holds(pointer(p), bytes)) return true;
  report_host("bad-copy", "%s of %zu bytes at %llx: not inside one device allocation", what, bytes, p);
  return false;
}

CUresult copy_in(CUdeviceptr to, const void* from, size_t bytes, CUstream stream, bool async) {
  if (!bytes) return CUDA_SUCCESS;
  CUDASIM_REQUIRE(from && is_stream(stream) && on_device(to, bytes, "copy to device"), CUDA_ERROR_INVALID_VALUE);
  auto copy = [=](const void* source) {
    memcpy(pointer(to), source, bytes);
    host_wrote(pointer(to), bytes);
    return kSuccess;
  };
  if (async) return result(enqueue(stream, [=] { return copy(from); }));
  advance_all(driver.default_stream);
  const u8* first = static_cast<const u8*>(from);
  auto staged = std::make_shared<std::vector<u8>>(first, first + bytes);
  const Status status = enqueue(nullptr, [=] { return copy(staged->data()); });
  return result(is_pinned(from, bytes) ? advance_all(driver.default_stream) : status);
}

CUresult copy_out(void* to, CUdeviceptr from, size_t bytes, CUstream stream, bool async) {
  if (!bytes) return CUDA_SUCCESS;
  CUDASIM_REQUIRE(to && is_stream(stream) && on_device(from, bytes, "copy to host"), CUDA_ERROR_INVALID_VALUE);
  const Status status = enqueue(stream, [=] {
    host_reads(pointer(from), bytes, "copy to host");
    memcpy(to, pointer(from), bytes);
    return kSuccess;
  });
  return result(async ? status : advance_all(driver.default_stream));
}

CUresult copy_on_device(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  if (!bytes) return CUDA_SUCCESS;
  CUDASIM_REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_VALUE);
  CUDASIM_REQUIRE(on_device(to, bytes, "copy to device") && on_device(from, bytes, "copy from device"),
                  CUDA_ERROR_INVALID_VALUE);
  return result(enqueue(stream, [=] {
    memmove(pointer(to), pointer(from), bytes);
    device_copied(pointer(to), pointer(from), bytes);
    return kSuccess;
  }));
}

template <class T>
CUresult fill(CUdeviceptr to, T value, size_t count, CUstream stream) {
  if (!count) return CUDA_SUCCESS;
  const size_t bytes = count * sizeof(T);
  CUDASIM_REQUIRE(is_stream(stream) && to % sizeof(T) == 0 && on_device(to, bytes, "memset"), CUDA_ERROR_INVALID_VALUE);
  return result(enqueue(stream, [=] {
    std::fill_n(static_cast<T*>(pointer(to)), count, value);
    host_wrote(pointer(to), bytes);
    return kSuccess;
  }));
}

CUresult allocate(CUdeviceptr* out, size_t bytes, State state) {
  CUDASIM_REQUIRE(out && bytes, CUDA_ERROR_INVALID_VALUE);
  u8* p = device_allocate(bytes, state);
  if (!p) { // what waits in streams may free some
    drain();
    p = device_allocate(bytes, state);
  }
  CUDASIM_REQUIRE(p, CUDA_ERROR_OUT_OF_MEMORY);
  *out = CUdeviceptr(p);
  return CUDA_SUCCESS;
}

} // namespace

CUresult cuMemAlloc_v2(CUdeviceptr* out, size_t bytes) {
  CUDASIM_ENTER(Context);
  return allocate(out, bytes, State::kReady);
}

CUresult cuMemFree_v2(CUdeviceptr p) {
  CUDASIM_ENTER(Context);
  const Status status = drain();
  CUDASIM_REQUIRE(!p || device_free(static_cast<u8*>(pointer(p))), CUDA_ERROR_INVALID_VALUE);
  return result(status);
}

CUresult cuMemAllocAsync(CUdeviceptr* out, size_t bytes, CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  if (CUresult error = allocate(out, bytes, State::kAnnounced)) return error;
  u8* p = static_cast<u8*>(pointer(*out));
  return result(enqueue(stream, [=] {
    device_set_state(p, State::kReady);
    return kSuccess;
  }));
}

CUresult cuMemFreeAsync(CUdeviceptr p, CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(is_stream(stream) && device_holds(pointer(p), 1), CUDA_ERROR_INVALID_VALUE);
  return result(enqueue(stream, [=] { return device_free(static_cast<u8*>(pointer(p))) ? kSuccess : kInvalidValue; }));
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(is_device(device), CUDA_ERROR_INVALID_DEVICE);
  *pool = reinterpret_cast<CUmemoryPool>(&driver.contexts[size_t(device)]);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute, void*) {
  CUDASIM_ENTER(Driver);
  CUDASIM_REQUIRE(pool, CUDA_ERROR_INVALID_VALUE);
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t* available, size_t* total) {
  CUDASIM_ENTER(Context);
  size_t used;
  device_usage(&used, total);
  *available = *total - used;
  return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr p) {
  CUDASIM_ENTER(Driver);
  const bool device_memory = device_holds(pointer(p), 1);
  CUDASIM_REQUIRE(device_memory || is_pinned(pointer(p), 1), CUDA_ERROR_INVALID_VALUE);
  switch (int(attribute)) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(data) = device_memory ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(data) = 0;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      *static_cast<CUcontext*>(data) = &driver.contexts[0];
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  CUDASIM_ENTER(Context);
  return copy_in(to, from, bytes, nullptr, false);
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  CUDASIM_ENTER(Context);
  return copy_out(to, from, bytes, nullptr, false);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  CUDASIM_ENTER(Context);
  return copy_on_device(to, from, bytes, nullptr);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  CUDASIM_ENTER(Context);
  return copy_in(to, from, bytes, stream, true);
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  CUDASIM_ENTER(Context);
  return copy_out(to, from, bytes, stream, true);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  CUDASIM_ENTER(Context);
  return copy_on_device(to, from, bytes, stream);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  CUDASIM_ENTER(Context);
  return fill<u8>(to, value, count, nullptr);
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
  CUDASIM_ENTER(Context);
  return fill<u32>(to, value, count, nullptr);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  CUDASIM_ENTER(Context);
  return fill<u8>(to, value, count, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  CUDASIM_ENTER(Context);
  return fill<u32>(to, value, count, stream);
}

CUresult cuMemHostAlloc(void** out, size_t bytes, unsigned) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(out && bytes, CUDA_ERROR_INVALID_VALUE);
  constexpr size_t kPage = 4096;
  *out = aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
  CUDASIM_REQUIRE(*out, CUDA_ERROR_OUT_OF_MEMORY);
  memset(*out, 0xff, bytes);
  driver.pinned[u64(*out)] = bytes;
  return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void* p) {
  CUDASIM_ENTER(Context);
  const Status status = drain();
  CUDASIM_REQUIRE(driver.pinned.erase(u64(p)), CUDA_ERROR_INVALID_VALUE);
  free(p);
  return result(status);
}
