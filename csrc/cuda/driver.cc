#include "cuda/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/errors.h"

// The embedded images: PTX text and machine code of each family, a symbol each (cmake/images.S).
#define IMAGE(name, kind, cc)                                          \
  extern "C" const unsigned char engine_cuda_##name##_##kind##_##cc[]; \
  extern "C" const unsigned char engine_cuda_##name##_##kind##_##cc##_end[];
#include "images.inc"
#undef IMAGE

namespace engine::cuda {
namespace {

struct Image {
  const char *family, *kind;
  int capability; // 80 is 8.0
  const unsigned char *data, *end;
};
const Image images[] = {
#define IMAGE(name, kind, cc) \
  {#name, #kind, cc, engine_cuda_##name##_##kind##_##cc, engine_cuda_##name##_##kind##_##cc##_end},
#include "images.inc"
#undef IMAGE
};

std::string version_text(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

[[noreturn]] void unavailable(const std::string& why) {
  throw Error(ErrorKind::runtime, "cuda", "device", "a CUDA device that engine can use", "none", why);
}

const char* library_name() {
  const char* path = getenv("ENGINE_CUDA_DRIVER");
  return path && *path ? path : "libcuda.so.1";
}

// The library's functions, or null and why.
const Api* open_library(std::string& why) {
  void* handle = dlopen(library_name(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    why = dlerror();
    return nullptr;
  }
  static Api api;
#define ENGINE_REQUIRED(member, symbol, params)                              \
  api.member = reinterpret_cast<CUresult(*) params>(dlsym(handle, #symbol)); \
  if (!api.member) {                                                         \
    why = std::string(library_name()) + " has no " #symbol;                  \
    return nullptr;                                                          \
  }
#define ENGINE_OPTIONAL(member, symbol, params) \
  api.member = reinterpret_cast<CUresult(*) params>(dlsym(handle, #symbol));
  CUDA_DRIVER_API(ENGINE_REQUIRED, ENGINE_OPTIONAL)
  return &api;
}

struct Library {
  const Api* api;
  std::string why;
  Library() { api = open_library(why); }
};
const Library& opened() {
  static Library library;
  return library;
}

std::atomic<bool> forked_since{false};

// What the driver says of its devices, asked once.
struct Driver {
  int count = 0, version = 0;
  std::string why;
  Device devices[kMaxDevices];
  std::map<std::string, CUmodule> modules[kMaxDevices]; // by family
  std::mutex lock;                                      // of devices; may be taken with the GIL held
  std::mutex modules_lock; // of modules and kernels; never is, since unpacking an image takes the GIL
  Driver() {
    if (!opened().api) {
      why = opened().why;
      return;
    }
    const Api& a = *opened().api;
    pthread_atfork(nullptr, nullptr, [] { forked_since = true; });
    const CUresult started = a.cuInit(0);
    if (started != CUDA_SUCCESS) {
      const char* text = nullptr;
      a.cuGetErrorString(started, &text);
      why = std::string("cuInit: ") + (text ? text : std::to_string(started));
      return;
    }
    a.cuDriverGetVersion(&version);
    a.cuDeviceGetCount(&count);
    if (count > kMaxDevices) count = kMaxDevices;
    if (!count) why = "the driver finds no device";
  }
};
Driver& driver() {
  static Driver* instance = new Driver; // never destroyed: arrays may outlive everything
  return *instance;
}

void initialise(Device& d, int number) {
  const Api& a = api();
  d.number = number;
  check(a.cuDeviceGet(&d.handle, number), "cuDeviceGet");
  char name[256] = "";
  check(a.cuDeviceGetName(name, sizeof name, d.handle), "cuDeviceGetName");
  d.name = name;
  auto attribute = [&](int& value, CUdevice_attribute which) {
    check(a.cuDeviceGetAttribute(&value, which, d.handle), "cuDeviceGetAttribute");
  };
  attribute(d.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  attribute(d.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  attribute(d.multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  check(a.cuDeviceTotalMem(&d.memory, d.handle), "cuDeviceTotalMem");
  if (d.major < 8)
    unavailable(d.name + " has compute capability " + std::to_string(d.major) + "." + std::to_string(d.minor) +
                "; the kernels need 8.0 or later");
  check(a.cuDevicePrimaryCtxRetain(&d.context, d.handle), "cuDevicePrimaryCtxRetain");
}

// A cubin runs on its own major capability, at its minor or above; PTX on any capability at or above its own, compiled
// by the driver. Best first. A driver that has no use for an image says NO_BINARY_FOR_GPU, and only then the next one
// is tried: the simulator, which executes PTX, declines cubins so. Every other error stays an error.
CUmodule load(const char* family, const Device& d) {
  const char* only = getenv("ENGINE_CUDA_IMAGE");
  const int capability = d.major * 10 + d.minor;
  std::vector<const Image*> fitting;
  for (const char* kind : {"cubin", "ptx"}) {
    if (only && *only && strcmp(only, kind)) continue;
    const size_t first = fitting.size();
    for (const Image& i : images) {
      if (strcmp(i.family, family) || strcmp(i.kind, kind) || i.capability > capability) continue;
      if (*kind == 'c' && i.capability / 10 != d.major) continue;
      auto at = fitting.begin() + int64_t(first);
      while (at != fitting.end() && (*at)->capability > i.capability) ++at;
      fitting.insert(at, &i);
    }
  }
  std::string tried;
  for (const Image* i : fitting) {
    char log[4096] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    CUmodule module;
    const std::string unpacked = unpack_image(i->data, size_t(i->end - i->data));
    const CUresult result = api().cuModuleLoadDataEx(&module, unpacked.c_str(), 2, options, values);
    if (result == CUDA_SUCCESS) return module;
    const std::string label =
        std::string(i->kind) + (*i->kind == 'c' ? " sm_" : " compute_") + std::to_string(i->capability);
    if (result != CUDA_ERROR_NO_BINARY_FOR_GPU) {
      std::string what = std::string("load ") + family + " " + label;
      if (*log) what += std::string(" (") + log + ")";
      if (driver().version < ENGINE_CUDA_TOOLKIT)
        what += " (the driver is for CUDA " + version_text(driver().version) + ", these kernels were built with " +
                version_text(ENGINE_CUDA_TOOLKIT) + ")";
      check(result, what.c_str());
    }
    tried += " " + label;
  }
  unavailable(std::string("no image of the kernels of ") + family + " runs on " + d.name + ", compute capability " +
              std::to_string(d.major) + "." + std::to_string(d.minor) + "; tried:" + (tried.empty() ? " none" : tried));
}

thread_local int entered = 0;

} // namespace

const Api& api() {
  if (!opened().api) unavailable(opened().why);
  return *opened().api;
}

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  const char *name = nullptr, *text = nullptr;
  api().cuGetErrorName(result, &name);
  api().cuGetErrorString(result, &text);
  throw Error(result == CUDA_ERROR_OUT_OF_MEMORY ? ErrorKind::memory : ErrorKind::runtime, "cuda", what,
              "the driver to succeed", name ? name : std::to_string(result), text ? text : "");
}

int device_count() { return driver().count; }
const std::string& why_no_device() { return driver().why; }
int driver_version() { return driver().version; }
std::string library() { return library_name(); }
std::string (*unpack_image)(const unsigned char*, size_t) = nullptr;

ImageText image(size_t number) {
  if (number >= sizeof images / sizeof *images) return {};
  const Image& i = images[number];
  return {i.family, i.kind, i.capability, i.data, size_t(i.end - i.data)};
}

const Device& device(int number) {
  Driver& d = driver();
  if (!d.count) unavailable(d.why);
  if (number < 0 || number >= d.count)
    throw Error(ErrorKind::value, "cuda", "device", "a device number below " + std::to_string(d.count),
                std::to_string(number));
  std::lock_guard<std::mutex> guard(d.lock);
  if (!d.devices[number].context) initialise(d.devices[number], number);
  return d.devices[number];
}

bool forked() { return forked_since.load(std::memory_order_relaxed); }

void enter(int number) {
  if (forked())
    throw Error(ErrorKind::runtime, "cuda", "process", "the process that first used CUDA", "a fork of it",
                "start processes with multiprocessing's \"spawn\" method");
  check(api().cuCtxSetCurrent(device(number).context), "cuCtxSetCurrent");
  entered = number;
}

const Device& current_device() { return device(entered); }

CUfunction Kernel::function(unsigned shared, const size_t* sizes, size_t count) const {
  const Device& d = current_device();
  std::lock_guard<std::mutex> guard(driver().modules_lock);
  CUfunction& f = functions_[d.number];
  if (!f) {
    auto& modules = driver().modules[d.number];
    auto found = modules.find(family_);
    if (found == modules.end()) found = modules.emplace(family_, load(family_, d)).first;
    check(api().cuModuleGetFunction(&f, found->second, name_.c_str()), name_.c_str());
    if (api().cuFuncGetParamInfo) {
      size_t offset, size, n = 0;
      bool fits = true;
      for (; api().cuFuncGetParamInfo(f, n, &offset, &size) == CUDA_SUCCESS; n++) fits &= n < count && size == sizes[n];
      if (!fits || n != count)
        throw Error(ErrorKind::runtime, name_, "arguments",
                    "the " + std::to_string(n) + " that the kernel declares, in their sizes", std::to_string(count));
    }
  }
  if (shared > 48 * 1024 && shared > shared_[d.number]) { // above 48 KiB a kernel has to be set up for it
    check(api().cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(shared)), name_.c_str());
    shared_[d.number] = shared;
  }
  return f;
}

void Kernel::launch(const unsigned (&grid)[3], const unsigned (&block)[3], unsigned shared, void** arguments,
                    const size_t* sizes, size_t count) const {
  CUfunction f = function(shared, sizes, count);
  check(api().cuLaunchKernel(f, grid[0], grid[1], grid[2], block[0], block[1], block[2], shared, kStream, arguments,
                             nullptr),
        name_.c_str());
}

} // namespace engine::cuda
