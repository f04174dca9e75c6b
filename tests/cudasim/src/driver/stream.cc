// Streams and events.
#include <chrono>

#include "state.h"

using namespace cudasim;

namespace {

double milliseconds() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

bool is_complete(CUevent e) { return !e->recorded || !e->stream || e->stream->done >= e->number; }

// A poll makes progress: one piece of work.
CUresult poll(CUstream_st& stream) {
  if (stream.queue.empty()) return CUDA_SUCCESS;
  const Status status = advance(stream, stream.queue.front().number);
  return status ? result(status) : CUDA_ERROR_NOT_READY;
}

} // namespace

CUresult cuStreamCreate(CUstream* out, unsigned flags) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(out && flags <= CU_STREAM_NON_BLOCKING, CUDA_ERROR_INVALID_VALUE);
  *out = new CUstream_st;
  (*out)->blocking = flags != CU_STREAM_NON_BLOCKING;
  driver.streams.insert(*out);
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.streams.count(stream), CUDA_ERROR_INVALID_HANDLE);
  const Status status = advance_all(*stream);
  for (CUevent e : driver.events)
    if (e->stream == stream) e->stream = nullptr;
  driver.streams.erase(stream);
  delete stream;
  return result(status);
}

CUresult cuStreamSynchronize(CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  if (stream) return result(advance_all(*stream));
  for (CUstream s : driver.streams)
    if (s->blocking) advance_all(*s);
  return result(advance_all(driver.default_stream));
}

CUresult cuStreamQuery(CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  return poll(stream ? *stream : driver.default_stream);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(is_stream(stream) && driver.events.count(event), CUDA_ERROR_INVALID_HANDLE);
  if (is_complete(event)) return CUDA_SUCCESS;
  const CUstream on = event->stream;
  const u64 number = event->number;
  return result(enqueue(stream, [=] {
    const bool exists = on == &driver.default_stream || driver.streams.count(on);
    return exists ? advance(*on, number) : kSuccess;
  }));
}

CUresult cuEventCreate(CUevent* out, unsigned flags) {
  CUDASIM_ENTER(Context);
  *out = new CUevent_st;
  (*out)->timing = !(flags & CU_EVENT_DISABLE_TIMING);
  driver.events.insert(*out);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.events.erase(event), CUDA_ERROR_INVALID_HANDLE);
  delete event;
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.events.count(event) && is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  auto at = std::make_shared<double>(0);
  event->milliseconds = at;
  event->recorded = true;
  event->stream = stream ? stream : &driver.default_stream;
  event->number = event->stream->issued + 1;
  return result(enqueue(stream, [at] {
    *at = milliseconds();
    return kSuccess;
  }));
}

CUresult cuEventSynchronize(CUevent event) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.events.count(event), CUDA_ERROR_INVALID_HANDLE);
  return is_complete(event) ? CUDA_SUCCESS : result(advance(*event->stream, event->number));
}

CUresult cuEventQuery(CUevent event) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.events.count(event), CUDA_ERROR_INVALID_HANDLE);
  return is_complete(event) ? CUDA_SUCCESS : poll(*event->stream);
}

CUresult cuEventElapsedTime(float* elapsed, CUevent start, CUevent end) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.events.count(start) && driver.events.count(end), CUDA_ERROR_INVALID_HANDLE);
  CUDASIM_REQUIRE(start->timing && end->timing && start->recorded && end->recorded, CUDA_ERROR_INVALID_HANDLE);
  if (!is_complete(start) || !is_complete(end)) return CUDA_ERROR_NOT_READY;
  *elapsed = float(*end->milliseconds - *start->milliseconds);
  return CUDA_SUCCESS;
}
