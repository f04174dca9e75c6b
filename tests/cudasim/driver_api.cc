// The exported functions: a stand-in libcuda. Contexts, modules, memory, streams and events behave as documented;
// work in streams runs at once (CUDASIM_ASYNC=eager) or as late as the API allows (lazy), which shows missing waits.
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include "cuda_driver.h"
#include "sim.h"

#define EXPORT extern "C" __attribute__((visibility("default")))
#define DECLARE(member, symbol, params) EXPORT CUresult symbol params;
CUDA_DRIVER_API(DECLARE, DECLARE) // a definition below that differs from the header does not compile

namespace {
using namespace sim;
typedef std::function<int()> Work;
struct Item {
  u64 number;
  Work run;
};
} // namespace
struct CUctx_st {
  int retained = 0;
};
struct CUmod_st {
  std::unique_ptr<Module> m;
};
struct CUstream_st {
  std::deque<Item> queue;
  u64 issued = 0, done = 0;
  bool blocking = true;
};
struct CUevent_st {
  CUstream stream = nullptr;
  u64 number = 0;
  std::shared_ptr<double> at;
  bool recorded = false, timing = true;
};
namespace {
std::recursive_mutex lock_;
bool initialised;
pid_t owner;
CUctx_st primary;
thread_local CUcontext current;
int sticky;
CUstream_st default_stream;
std::set<CUstream> streams;
std::set<CUevent> events;
std::set<CUmodule> modules;
std::set<Kernel*> functions;
std::map<u8*, size_t> pinned;
CUmemPoolHandle_st* const pool = (CUmemPoolHandle_st*)&primary;
double now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
CUresult R_(int e) { return (CUresult)e; }

// ------------------------------------------------------------ streams
int advance(CUstream_st& s, u64 upto) { // run what was issued up to this number
  while (s.done < upto && !s.queue.empty()) {
    Item i = std::move(s.queue.front());
    s.queue.pop_front();
    int e = i.run();
    s.done = std::max(s.done, i.number);
    if (e && !sticky) sticky = e;
  }
  return sticky;
}
int drain_all() {
  for (CUstream s : streams) advance(*s, s->issued);
  return advance(default_stream, default_stream.issued);
}
bool known(CUstream s) { return !s || streams.count(s); }
int enqueue(CUstream h, Work w) {
  CUstream_st& s = h ? *h : default_stream;
  vector<std::pair<CUstream_st*, u64>> after;
  // the default stream waits for all blocking streams, and they for it
  if (!h) {
    for (CUstream t : streams)
      if (t->blocking && !t->queue.empty()) after.push_back({t, t->issued});
  } else if (s.blocking && !default_stream.queue.empty())
    after.push_back({&default_stream, default_stream.issued});
  s.queue.push_back({++s.issued, [after, w] {
                       for (auto& a : after) advance(*a.first, a.second);
                       return w();
                     }});
  return config.lazy ? 0 : advance(s, s.issued);
}
#define ENTER(context)                                                      \
  std::lock_guard<std::recursive_mutex> guard(lock_);                       \
  if (!initialised || owner != getpid()) return CUDA_ERROR_NOT_INITIALIZED; \
  if (context && !current) return CUDA_ERROR_INVALID_CONTEXT;               \
  if (sticky) return R_(sticky);                                            \
  if (context) read_config(false)
#define REQUIRE(c, e)   \
  do {                  \
    if (!(c)) return e; \
  } while (0)

// ------------------------------------------------------------ memory
bool is_pinned(const void* p, size_t n) {
  auto it = pinned.upper_bound((u8*)p);
  if (it == pinned.begin()) return false;
  --it;
  return (u8*)p + n <= it->first + it->second;
}
bool range(CUdeviceptr p, size_t n, const char* what) {
  if (device_range((void*)p, n)) return true;
  report("bad-copy", nullptr, 0, 0, "%s of %zu bytes at %llx: not inside one device allocation", what, n, p);
  return false;
}
// In lazy mode everything happens as late as the documentation ("API synchronization behavior") lets it: an Async copy
// touches host memory, pinned or not, when it runs; a synchronous copy from pageable memory has only staged its source.
CUresult copy_in(CUdeviceptr d, const void* s, size_t n, CUstream st, bool async) {
  if (!n) return CUDA_SUCCESS;
  REQUIRE(s && known(st) && range(d, n, "copy to device"), CUDA_ERROR_INVALID_VALUE);
  if (async)
    return R_(enqueue(st, [=] {
      memcpy((void*)d, s, n);
      host_wrote((void*)d, n);
      return 0;
    }));
  advance(default_stream, default_stream.issued);
  auto staged = std::make_shared<vector<u8>>((const u8*)s, (const u8*)s + n);
  int e = enqueue(nullptr, [=] {
    memcpy((void*)d, staged->data(), n);
    host_wrote((void*)d, n);
    return 0;
  });
  return R_(is_pinned(s, n) ? advance(default_stream, default_stream.issued) : e);
}
CUresult copy_out(void* d, CUdeviceptr s, size_t n, CUstream st, bool async) {
  if (!n) return CUDA_SUCCESS;
  REQUIRE(d && known(st) && range(s, n, "copy to host"), CUDA_ERROR_INVALID_VALUE);
  int e = enqueue(st, [=] {
    host_reads((void*)s, n, "copy to host");
    memcpy(d, (void*)s, n);
    return 0;
  });
  return R_(async ? e : advance(default_stream, default_stream.issued));
}
CUresult copy_device(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream st) {
  if (!n) return CUDA_SUCCESS;
  REQUIRE(known(st) && range(d, n, "copy to device") && range(s, n, "copy from device"), CUDA_ERROR_INVALID_VALUE);
  return R_(enqueue(st, [=] {
    memmove((void*)d, (void*)s, n);
    copy_state((void*)d, (void*)s, n);
    return 0;
  }));
}
CUresult fill(CUdeviceptr d, u32 v, size_t count, int size, CUstream st) {
  if (!count) return CUDA_SUCCESS;
  REQUIRE(known(st) && d % size == 0 && range(d, count * size, "memset"), CUDA_ERROR_INVALID_VALUE);
  return R_(enqueue(st, [=] {
    if (size == 1)
      memset((void*)d, (int)v, count);
    else
      std::fill((u32*)d, (u32*)d + count, v);
    host_wrote((void*)d, count * size);
    return 0;
  }));
}

struct AtExit {
  ~AtExit() {
    const char* v = getenv("CUDASIM_LOG");
    if (report_count() && !(v && !strcmp(v, "off")))
      fprintf(stderr, "cudasim: %zu findings nobody asked for:\n%s\n", report_count(), reports_json(false).c_str());
  }
} at_exit;
int shared_optin() {
  switch (config.capability) {
    case 80:
    case 87:
      return 163 * 1024;
    case 86:
    case 89:
    case 120:
      return 99 * 1024;
    default:
      return 227 * 1024;
  }
}
u32 max_ptx() {
  return config.driver >= 13000 ? 90 : 70 + (u32)(config.driver - 11000) / 10 - (config.driver >= 12000 ? 90 : 0);
} // 11.0: 7.0 … 12.0: 8.0 …
void log_to(unsigned n, CUjit_option* o, void** v, const string& text) {
  char* buffer = nullptr;
  size_t size = 0;
  for (unsigned k = 0; k < n; ++k) {
    if (o[k] == CU_JIT_ERROR_LOG_BUFFER) buffer = (char*)v[k];
    if (o[k] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size = (size_t)(uintptr_t)v[k];
  }
  if (buffer && size) snprintf(buffer, size, "%s", text.c_str());
}
Kernel* kernel(CUfunction f) {
  Kernel* k = (Kernel*)f;
  return functions.count(k) ? k : nullptr;
}
} // namespace

CUresult cuInit(unsigned flags) {
  std::lock_guard<std::recursive_mutex> g(lock_);
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  if (!initialised) {
    read_config(true);
    if (config.devices < 1) return CUDA_ERROR_NO_DEVICE;
    init_memory();
    initialised = true;
    owner = getpid();
  }
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int* v) {
  REQUIRE(v, CUDA_ERROR_INVALID_VALUE);
  *v = config.driver;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* n) {
  ENTER(false);
  *n = config.devices;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* d, int i) {
  ENTER(false);
  REQUIRE(i == 0, CUDA_ERROR_INVALID_DEVICE);
  *d = 0;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char* s, int n, CUdevice d) {
  ENTER(false);
  REQUIRE(d == 0, CUDA_ERROR_INVALID_DEVICE);
  snprintf(s, n, "cudasim: PTX simulator, no GPU");
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t* n, CUdevice) {
  ENTER(false);
  *n = config.memory;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice d) {
  ENTER(false);
  REQUIRE(d == 0, CUDA_ERROR_INVALID_DEVICE);
  switch ((int)a) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *v = 1024;
      break;
    case 2:
    case 3:
      *v = 1024;
      break;
    case 4:
      *v = 64;
      break;
    case 5:
      *v = 2147483647;
      break;
    case 6:
    case 7:
      *v = 65535;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      *v = 49152;
      break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *v = 32;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *v = 4;
      break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      *v = 1;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *v = config.capability / 10;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *v = config.capability % 10;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      *v = shared_optin() + 1024;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *v = shared_optin();
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}
// ------------------------------------------------------------ context
CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice d) {
  ENTER(false);
  REQUIRE(d == 0, CUDA_ERROR_INVALID_DEVICE);
  primary.retained++;
  *c = &primary;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  ENTER(false);
  REQUIRE(primary.retained > 0, CUDA_ERROR_INVALID_CONTEXT);
  --primary.retained;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxReset_v2(CUdevice) { // also the only way out of a sticky error
  std::lock_guard<std::recursive_mutex> g(lock_);
  default_stream = CUstream_st();
  for (CUstream s : streams) delete s;
  streams.clear();
  for (CUevent e : events) delete e;
  events.clear();
  functions.clear();
  for (CUmodule m : modules) delete m;
  modules.clear();
  sticky = 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext c) {
  std::lock_guard<std::recursive_mutex> g(lock_);
  if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
  REQUIRE(!c || c == &primary, CUDA_ERROR_INVALID_CONTEXT);
  current = c;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* c) {
  std::lock_guard<std::recursive_mutex> g(lock_);
  *c = current;
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize(void) {
  ENTER(true);
  return R_(drain_all());
}
// ------------------------------------------------------------ modules
CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned n, CUjit_option* o, void** v) {
  ENTER(true);
  REQUIRE(out && image, CUDA_ERROR_INVALID_VALUE);
  u32 magic;
  memcpy(&magic, image, 4);
  if (!memcmp(image,
              "\x7f"
              "ELF",
              4) ||
      magic == 0xba55ed50u) {
    log_to(n, o, v, "cudasim executes PTX only");
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  } // a cubin or a fatbin: none of it for this device
  try {
    auto m = std::make_unique<CUmod_st>();
    m->m = parse_module((const char*)image, config.capability);
    for (auto& k : m->m->kernels) {
      k.second->max_dynamic = 48 * 1024;
      functions.insert(k.second.get());
      if (k.second->ptx_version > max_ptx()) {
        log_to(n, o, v, "this PTX version is newer than the driver");
        return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
      }
    }
    *out = m.release();
    modules.insert(*out);
    return CUDA_SUCCESS;
  } catch (VersionError& e) {
    log_to(n, o, v, e.what);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  } catch (std::exception& e) {
    log_to(n, o, v, e.what());
    return CUDA_ERROR_INVALID_PTX;
  }
}
CUresult cuModuleLoadData(CUmodule* m, const void* image) { return cuModuleLoadDataEx(m, image, 0, nullptr, nullptr); }
CUresult cuModuleUnload(CUmodule m) {
  ENTER(true);
  REQUIRE(modules.count(m), CUDA_ERROR_INVALID_HANDLE);
  drain_all();
  for (auto& k : m->m->kernels) functions.erase(k.second.get());
  modules.erase(m);
  delete m;
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* f, CUmodule m, const char* name) {
  ENTER(true);
  REQUIRE(modules.count(m), CUDA_ERROR_INVALID_HANDLE);
  auto it = m->m->kernels.find(name);
  REQUIRE(it != m->m->kernels.end(), CUDA_ERROR_NOT_FOUND);
  *f = (CUfunction)it->second.get();
  return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr* p, size_t* n, CUmodule m, const char* name) {
  ENTER(true);
  REQUIRE(modules.count(m), CUDA_ERROR_INVALID_HANDLE);
  auto it = m->m->globals.find(name);
  REQUIRE(it != m->m->globals.end(), CUDA_ERROR_NOT_FOUND);
  if (p) *p = (CUdeviceptr)it->second.p;
  if (n) *n = it->second.size;
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* v, CUfunction_attribute a, CUfunction f) {
  ENTER(true);
  Kernel* k = kernel(f);
  REQUIRE(k, CUDA_ERROR_INVALID_HANDLE);
  switch ((int)a) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *v = (int)k->max_threads;
      break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *v = (int)k->shared_static;
      break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *v = (int)k->local;
      break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      *v = (int)k->target;
      break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *v = (int)k->max_dynamic;
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  } // registers: ptxas decides, unknown here
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
  ENTER(true);
  Kernel* k = kernel(f);
  REQUIRE(k, CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(a == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && v >= 0 &&
              (u32)v + k->shared_static <= (u32)shared_optin(),
          CUDA_ERROR_INVALID_VALUE);
  k->max_dynamic = (u32)v;
  return CUDA_SUCCESS;
}
CUresult cuFuncGetParamInfo(CUfunction f, size_t i, size_t* offset, size_t* size) {
  ENTER(true);
  Kernel* k = kernel(f);
  REQUIRE(k, CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(i < k->params.size(), CUDA_ERROR_INVALID_VALUE);
  if (offset) *offset = k->params[i].offset;
  if (size) *size = k->params[i].size;
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream st, void** args, void** extra) {
  ENTER(true);
  Kernel* k = kernel(f);
  REQUIRE(k && known(st), CUDA_ERROR_INVALID_HANDLE);
  u64 n = (u64)bx * by * bz;
  REQUIRE(!extra, CUDA_ERROR_NOT_SUPPORTED);
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || gx > 2147483647u || !n || n > 1024 || bz > 64 ||
      (args == nullptr && !k->params.empty())) {
    report("launch", nullptr, 0, 0, "%s: grid %u,%u,%u block %u,%u,%u", k->name.c_str(), gx, gy, gz, bx, by, bz);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (n > k->max_threads) {
    report("launch", nullptr, 0, 0, "%s: %u threads a block, __launch_bounds__ says %u", k->name.c_str(), (u32)n,
           k->max_threads);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (shared > k->max_dynamic || shared + k->shared_static > (u32)shared_optin()) {
    report("launch", nullptr, 0, 0,
           "%s: %u bytes of dynamic and %u of static shared memory; allowed dynamic %u (cuFuncSetAttribute), device %d",
           k->name.c_str(), shared, k->shared_static, k->max_dynamic, shared_optin());
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!k->unsupported.empty()) return CUDA_ERROR_NOT_SUPPORTED;
  auto params = std::make_shared<vector<u8>>(k->param_bytes + 16);
  for (size_t j = 0; j < k->params.size(); ++j)
    memcpy(params->data() + k->params[j].offset, args[j], k->params[j].size); // copied now, as the driver does
  return R_(enqueue(st, [=] { return launch(*k, {gx, gy, gz}, {bx, by, bz}, shared, *params); }));
}
// ------------------------------------------------------------ memory
CUresult cuMemAlloc_v2(CUdeviceptr* p, size_t n) {
  ENTER(true);
  REQUIRE(p && n, CUDA_ERROR_INVALID_VALUE);
  u8* q = device_alloc(n, true);
  REQUIRE(q, CUDA_ERROR_OUT_OF_MEMORY);
  *p = (CUdeviceptr)q;
  return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr p) {
  ENTER(true);
  int e = drain_all();
  REQUIRE(!p || device_free((u8*)p, true), CUDA_ERROR_INVALID_VALUE);
  return R_(e);
}
CUresult cuMemAllocAsync(CUdeviceptr* p, size_t n, CUstream st) {
  ENTER(true);
  REQUIRE(p && n && known(st), CUDA_ERROR_INVALID_VALUE);
  u8* q = device_alloc(n, false);
  if (!q) {
    drain_all();
    q = device_alloc(n, false);
  }
  REQUIRE(q, CUDA_ERROR_OUT_OF_MEMORY);
  *p = (CUdeviceptr)q;
  return R_(enqueue(st, [=] {
    device_set_valid(q, true);
    return 0;
  }));
}
CUresult cuMemFreeAsync(CUdeviceptr p, CUstream st) {
  ENTER(true);
  REQUIRE(known(st) && device_range((void*)p, 1), CUDA_ERROR_INVALID_VALUE);
  return R_(enqueue(st, [=] { return device_free((u8*)p, true) ? 0 : (int)CUDA_ERROR_INVALID_VALUE; }));
}
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* p, CUdevice) {
  ENTER(false);
  *p = pool;
  return CUDA_SUCCESS;
}
CUresult cuMemPoolSetAttribute(CUmemoryPool p, CUmemPool_attribute, void*) {
  ENTER(false);
  REQUIRE(p == pool, CUDA_ERROR_INVALID_VALUE);
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t* a, size_t* t) {
  ENTER(true);
  size_t u, n;
  device_usage(&u, &n);
  *a = n - u;
  *t = n;
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr d, const void* s, size_t n) {
  ENTER(true);
  return copy_in(d, s, n, nullptr, false);
}
CUresult cuMemcpyDtoH_v2(void* d, CUdeviceptr s, size_t n) {
  ENTER(true);
  return copy_out(d, s, n, nullptr, false);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr d, CUdeviceptr s, size_t n) {
  ENTER(true);
  return copy_device(d, s, n, nullptr);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void* s, size_t n, CUstream st) {
  ENTER(true);
  return copy_in(d, s, n, st, true);
}
CUresult cuMemcpyDtoHAsync_v2(void* d, CUdeviceptr s, size_t n, CUstream st) {
  ENTER(true);
  return copy_out(d, s, n, st, true);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream st) {
  ENTER(true);
  return copy_device(d, s, n, st);
}
CUresult cuMemsetD8_v2(CUdeviceptr d, unsigned char v, size_t n) {
  ENTER(true);
  return fill(d, v, n, 1, nullptr);
}
CUresult cuMemsetD32_v2(CUdeviceptr d, unsigned v, size_t n) {
  ENTER(true);
  return fill(d, v, n, 4, nullptr);
}
CUresult cuMemsetD8Async(CUdeviceptr d, unsigned char v, size_t n, CUstream st) {
  ENTER(true);
  return fill(d, v, n, 1, st);
}
CUresult cuMemsetD32Async(CUdeviceptr d, unsigned v, size_t n, CUstream st) {
  ENTER(true);
  return fill(d, v, n, 4, st);
}
CUresult cuMemHostAlloc(void** p, size_t n, unsigned) {
  ENTER(true);
  REQUIRE(p && n, CUDA_ERROR_INVALID_VALUE);
  *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
  REQUIRE(*p, CUDA_ERROR_OUT_OF_MEMORY);
  memset(*p, 0xff, n);
  pinned[(u8*)*p] = n;
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* p) {
  ENTER(true);
  drain_all();
  REQUIRE(pinned.erase((u8*)p), CUDA_ERROR_INVALID_VALUE);
  free(p);
  return CUDA_SUCCESS;
}
// ------------------------------------------------------------ streams and events
CUresult cuStreamCreate(CUstream* s, unsigned flags) {
  ENTER(true);
  REQUIRE(s && flags <= 1, CUDA_ERROR_INVALID_VALUE);
  *s = new CUstream_st;
  (*s)->blocking = !flags;
  streams.insert(*s);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream s) {
  ENTER(true);
  REQUIRE(s && streams.count(s), CUDA_ERROR_INVALID_HANDLE);
  int e = advance(*s, s->issued);
  for (CUevent v : events)
    if (v->stream == s) {
      v->stream = nullptr;
      v->number = 0;
    }
  streams.erase(s);
  delete s;
  return R_(e);
}
CUresult cuStreamSynchronize(CUstream s) {
  ENTER(true);
  REQUIRE(known(s), CUDA_ERROR_INVALID_HANDLE);
  if (!s) {
    for (CUstream t : streams)
      if (t->blocking) advance(*t, t->issued);
    return R_(advance(default_stream, default_stream.issued));
  }
  return R_(advance(*s, s->issued));
}
CUresult cuStreamQuery(CUstream h) {
  ENTER(true);
  REQUIRE(known(h), CUDA_ERROR_INVALID_HANDLE);
  CUstream_st& s = h ? *h : default_stream;
  if (s.queue.empty()) return CUDA_SUCCESS;
  int e = advance(s, s.done + 1);
  return e ? R_(e) : CUDA_ERROR_NOT_READY;
} // a poll makes progress
CUresult cuEventCreate(CUevent* e, unsigned flags) {
  ENTER(true);
  *e = new CUevent_st;
  (*e)->timing = !(flags & CU_EVENT_DISABLE_TIMING);
  events.insert(*e);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent e) {
  ENTER(true);
  REQUIRE(events.erase(e), CUDA_ERROR_INVALID_HANDLE);
  delete e;
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent e, CUstream st) {
  ENTER(true);
  REQUIRE(events.count(e) && known(st), CUDA_ERROR_INVALID_HANDLE);
  auto at = std::make_shared<double>(-1.);
  e->at = at;
  e->recorded = true;
  e->stream = st ? st : &default_stream;
  int r = enqueue(st, [at] {
    *at = now();
    return 0;
  });
  e->number = e->stream->issued;
  return R_(r);
}
static bool complete(CUevent e) { return !e->recorded || !e->stream || e->stream->done >= e->number; }
CUresult cuStreamWaitEvent(CUstream st, CUevent e, unsigned) {
  ENTER(true);
  REQUIRE(known(st) && events.count(e), CUDA_ERROR_INVALID_HANDLE);
  if (complete(e)) return CUDA_SUCCESS;
  CUstream on = e->stream;
  u64 n = e->number;
  return R_(enqueue(st, [=] { return on == &default_stream || streams.count(on) ? advance(*on, n) : 0; }));
}
CUresult cuEventSynchronize(CUevent e) {
  ENTER(true);
  REQUIRE(events.count(e), CUDA_ERROR_INVALID_HANDLE);
  return complete(e) ? CUDA_SUCCESS : R_(advance(*e->stream, e->number));
}
CUresult cuEventQuery(CUevent e) {
  ENTER(true);
  REQUIRE(events.count(e), CUDA_ERROR_INVALID_HANDLE);
  if (complete(e)) return CUDA_SUCCESS;
  int r = advance(*e->stream, e->stream->done + 1);
  return r ? R_(r) : CUDA_ERROR_NOT_READY;
}
CUresult cuEventElapsedTime(float* ms, CUevent a, CUevent b) {
  ENTER(true);
  REQUIRE(events.count(a) && events.count(b) && a->timing && b->timing && a->recorded && b->recorded,
          CUDA_ERROR_INVALID_HANDLE);
  if (!complete(a) || !complete(b)) return CUDA_ERROR_NOT_READY;
  *ms = (float)(*b->at - *a->at);
  return CUDA_SUCCESS;
}
// ------------------------------------------------------------ errors, and what only the simulator has
static const struct {
  int code;
  const char *name, *text;
} error_table[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};
CUresult cuGetErrorName(CUresult e, const char** s) {
  for (auto& x : error_table)
    if (x.code == e) {
      *s = x.name;
      return CUDA_SUCCESS;
    }
  *s = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult cuGetErrorString(CUresult e, const char** s) {
  for (auto& x : error_table)
    if (x.code == e) {
      *s = x.text;
      return CUDA_SUCCESS;
    }
  *s = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
// The findings since the last call, as a JSON list. Returns the length; a buffer that is too small gets nothing and
// nothing is cleared.
EXPORT size_t cudasim_report(char* out, size_t capacity) {
  std::lock_guard<std::recursive_mutex> g(lock_);
  string s = reports_json(false);
  if (out && s.size() < capacity) {
    memcpy(out, s.c_str(), s.size() + 1);
    reports_json(true);
  }
  return s.size();
}
EXPORT unsigned long long cudasim_executed() { return executed; }
// With CUDASIM_PROFILE=1: "source line|times|lanes|bank conflicts|sectors|instruction" for each executed instruction of
// a kernel; clears.
EXPORT size_t cudasim_counters(const char* name, char* out, size_t capacity) {
  std::lock_guard<std::recursive_mutex> g(lock_);
  string s;
  char b[700];
  for (CUmodule m : modules) {
    auto it = m->m->kernels.find(name);
    if (it == m->m->kernels.end()) continue;
    Kernel& k = *it->second;
    for (size_t i = 0; i < k.code.size(); ++i) {
      Counters& c = k.counters[i];
      if (!c.executed) continue;
      const Site& t = sites[k.code[i].site];
      int line = 0;
      for (int l = t.loc; l > 0; l = locs[l].parent)
        if (locs[l].line) line = locs[l].line;
      snprintf(b, sizeof b, "%d|%llu|%llu|%llu|%llu|%.500s\n", line, (unsigned long long)c.executed,
               (unsigned long long)c.lanes, (unsigned long long)c.bank_conflicts, (unsigned long long)c.sectors,
               t.text.c_str());
      s += b;
      if (s.size() < capacity) c = Counters();
    }
  }
  if (out && s.size() < capacity) memcpy(out, s.c_str(), s.size() + 1);
  return s.size();
}
