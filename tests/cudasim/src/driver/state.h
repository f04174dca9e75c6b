// What the driver knows: contexts, modules, streams and events. Every exported function holds one lock.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "../kernel.h"
#include "api.h"

#define CUDASIM_EXPORT extern "C" __attribute__((visibility("default")))
#define CUDASIM_DECLARE(name, symbol, parameters) CUDASIM_EXPORT CUresult symbol parameters;
CUDASIM_API(CUDASIM_DECLARE) // a definition that differs from the list does not compile

struct CUctx_st {
  int device = 0;
  int retained = 0;
};

struct CUmod_st {
  std::unique_ptr<cudasim::Module> module;
};

namespace cudasim {
struct Work {
  u64 number;
  std::function<Status()> run;
};
} // namespace cudasim

struct CUstream_st {
  std::deque<cudasim::Work> queue;
  cudasim::u64 issued = 0; // numbers of the last work that was issued and that is done
  cudasim::u64 done = 0;
  bool blocking = true; // waits for the default stream, and it for this one
};

struct CUevent_st {
  CUstream stream = nullptr; // in which it was recorded last, as which work
  cudasim::u64 number = 0;
  std::shared_ptr<double> milliseconds; // when that was reached
  bool recorded = false;
  bool timing = true;
};

namespace cudasim {

struct DriverState {
  std::recursive_mutex mutex;
  bool initialised = false;
  int owner = 0;            // process that called cuInit: a forked child has no CUDA
  Status sticky = kSuccess; // a kernel has failed: every call says so until the context is reset
  std::vector<CUctx_st> contexts;
  CUstream_st default_stream;
  std::set<CUstream> streams;
  std::set<CUevent> events;
  std::set<CUmodule> modules;
  std::set<Kernel*> kernels;
  std::map<u64, size_t> pinned;
};

extern DriverState driver;
extern thread_local CUcontext current_context;

// Held by an exported function while it runs. `status` is what the call ends with if it may not go on.
struct Call {
  enum Needs { kNothing, kDriver, kContext };
  explicit Call(Needs needs);
  std::lock_guard<std::recursive_mutex> guard;
  CUresult status = CUDA_SUCCESS;
};

inline CUresult result(Status status) { return CUresult(int(status)); }
bool is_device(CUdevice device);
bool is_stream(CUstream stream); // also the default one

// ---- work in streams: at once, or with CUDASIM_ASYNC=lazy as late as the API allows ----
Status enqueue(CUstream stream, std::function<Status()> run);
Status advance(CUstream_st& stream, u64 number); // runs what was issued up to this number
inline Status advance_all(CUstream_st& stream) { return advance(stream, stream.issued); }
Status drain(); // all streams

} // namespace cudasim

#define CUDASIM_ENTER(needs)        \
  const Call call_(Call::k##needs); \
  if (call_.status != CUDA_SUCCESS) return call_.status
#define CUDASIM_REQUIRE(condition, error) \
  if (!(condition)) return error
