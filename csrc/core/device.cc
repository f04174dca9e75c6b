#include "core/device.h"

#include <stdio.h>

#include <atomic>
#include <string>

#include "core/allocator.h"
#include "core/errors.h"

namespace engine {

static std::atomic<const Backend*> registered{nullptr};
static std::atomic<Precision> precision{Precision::highest};

void register_backend(const Backend* backend) {
  backend->set_matmul_precision(precision);
  registered = backend;
}

bool has_backend() { return registered.load(std::memory_order_acquire) != nullptr; }

const Backend& backend() {
  const Backend* b = registered.load(std::memory_order_acquire);
  if (!b) throw Error(ErrorKind::runtime, "device", "type", "a device whose backend is loaded", "none");
  return *b;
}

Precision matmul_precision() { return precision; }

void set_matmul_precision(Precision wanted) {
  precision = wanted;
  if (has_backend()) backend().set_matmul_precision(wanted);
}

void* allocate_on(int device, size_t bytes) {
  return device == kCpu ? allocate(bytes) : backend().allocate(device, bytes);
}

void deallocate_on(int device, void* data, size_t bytes) noexcept {
  if (device == kCpu)
    deallocate(data, bytes);
  else
    backend().deallocate(device, data, bytes);
}

const char* device_text(int device, char (&buffer)[16]) {
  if (device == kCpu) return "cpu";
  snprintf(buffer, sizeof buffer, "%s:%d", has_backend() ? backend().name : "device", device);
  return buffer;
}

} // namespace engine
