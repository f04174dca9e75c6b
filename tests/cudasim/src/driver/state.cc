#include "state.h"

#include <unistd.h>

#include <algorithm>

#include "../config.h"

namespace cudasim {

DriverState driver;
thread_local CUcontext current_context;

Call::Call(Needs needs) : guard(driver.mutex) {
  if (needs == kNothing) return;
  if (!driver.initialised || driver.owner != getpid()) {
    status = CUDA_ERROR_NOT_INITIALIZED;
  } else if (needs == kContext && !current_context) {
    status = CUDA_ERROR_INVALID_CONTEXT;
  } else if (driver.sticky) {
    status = result(driver.sticky);
  } else if (needs == kContext) {
    read_launch_config();
  }
}

bool is_device(CUdevice device) { return device >= 0 && device < CUdevice(driver.contexts.size()); }

bool is_stream(CUstream stream) { return !stream || driver.streams.count(stream); }

Status advance(CUstream_st& stream, u64 number) {
  while (stream.done < number && !stream.queue.empty()) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    const Status status = work.run();
    stream.done = std::max(stream.done, work.number);
    if (status && !driver.sticky) driver.sticky = status;
  }
  return driver.sticky;
}

Status drain() {
  for (CUstream s : driver.streams) advance_all(*s);
  return advance_all(driver.default_stream);
}

Status enqueue(CUstream handle, std::function<Status()> run) {
  CUstream_st& stream = handle ? *handle : driver.default_stream;
  std::vector<std::pair<CUstream_st*, u64>> before; // what this work waits for in other streams
  if (!handle) {
    for (CUstream s : driver.streams)
      if (s->blocking && !s->queue.empty()) before.emplace_back(s, s->issued);
  } else if (stream.blocking && !driver.default_stream.queue.empty()) {
    before.emplace_back(&driver.default_stream, driver.default_stream.issued);
  }
  stream.queue.push_back({++stream.issued, [before, run] {
                            for (const auto& [other, number] : before) advance(*other, number);
                            return run();
                          }});
  return config.lazy ? kSuccess : advance_all(stream);
}

} // namespace cudasim
