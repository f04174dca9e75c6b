// The extension module engine._cuda: hands its Backend to engine._core, and tells about the devices.
#include <pybind11/pybind11.h>

#include "bindings/errors.h"
#include "bindings/interpreter.h"
#include "core/device.h"
#include "cuda/driver.h"
#include "cuda/memory.h"
#include "cuda/precision.h"

namespace py = pybind11;

namespace engine::cuda {

extern const Kernels table;
extern const size_t kTableSize;

namespace {

const Backend the_backend = {
    "cuda",          &table,           kTableSize,
    &device_count,   &allocate,        &deallocate,
    &enter,          &copy_in,         &copy_out,
    &copy_across,    &allocate_pinned, &deallocate_pinned,
    &copy_in_pinned, &hand_over,       &set_matmul_precision,
};

// A mark in a device's queue.
class Event {
 public:
  explicit Event(bool timing) : timing_(timing) {}
  Event(const Event&) = delete;
  ~Event() {
    if (event_ && !forked() && api().cuCtxSetCurrent(device(device_).context) == CUDA_SUCCESS)
      api().cuEventDestroy(event_);
  }
  void record(int device) {
    enter(device);
    if (event_ && device != device_) {
      check(api().cuEventDestroy(event_), "cuEventDestroy");
      event_ = nullptr;
    }
    if (!event_)
      check(api().cuEventCreate(&event_, timing_ ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    device_ = device;
    check(api().cuEventRecord(event_, kStream), "cuEventRecord");
  }
  bool query() const {
    if (!event_) return true;
    enter(device_);
    const CUresult result = api().cuEventQuery(event_);
    if (result != CUDA_ERROR_NOT_READY) check(result, "cuEventQuery");
    return result == CUDA_SUCCESS;
  }
  void wait() const {
    if (!event_) return;
    enter(device_);
    count_host_wait(device_);
    check(api().cuEventSynchronize(event_), "cuEventSynchronize");
  }
  double milliseconds_until(const Event& end) const {
    if (!timing_ || !end.timing_)
      throw Error(ErrorKind::value, "elapsed_time", "end_event", "two events with enable_timing=True", "one without");
    if (!event_ || !end.event_)
      throw Error(ErrorKind::value, "elapsed_time", "end_event", "two events that were recorded", "one that was not");
    if (!query() || !end.query())
      throw Error(ErrorKind::runtime, "elapsed_time", "end_event", "two events that the device has reached",
                  "one that is still in its queue", "use synchronize()");
    float ms;
    check(api().cuEventElapsedTime(&ms, event_, end.event_), "cuEventElapsedTime");
    return ms;
  }

 private:
  bool timing_;
  int device_ = 0;
  CUevent event_ = nullptr;
};

py::dict stats_dict(int device) {
  const MemoryStats s = memory_stats(device);
  py::dict d;
  d["allocated_bytes"] = s.allocated_bytes;
  d["peak_allocated_bytes"] = s.peak_allocated_bytes;
  d["reserved_bytes"] = s.reserved_bytes;
  d["peak_reserved_bytes"] = s.peak_reserved_bytes;
  d["allocations"] = s.allocations;
  d["segments"] = s.segments;
  d["host_waits"] = s.host_waits;
  return d;
}

std::string unpacked_by_zlib(const unsigned char* data, size_t bytes) {
  py::gil_scoped_acquire gil;
  const py::bytes packed(reinterpret_cast<const char*>(data), bytes);
  return py::bytes(py::module_::import("zlib").attr("decompress")(packed));
}

} // namespace
} // namespace engine::cuda

ENGINE_MODULE(_cuda, m) {
  using namespace engine::cuda;
  unpack_image = &unpacked_by_zlib;
  m.doc() = "The CUDA backend of engine; use engine.cuda instead.";
  engine::register_errors();
  m.def("backend", [] { return py::capsule(&the_backend); });
  m.def("device_count", &device_count);
  m.def("why_no_device", &why_no_device);
  m.def("driver_version", &driver_version);
  m.def("library", &library);
  m.def("device_properties", [](int number) {
    const Device& d = device(number);
    py::dict p;
    p["name"] = d.name;
    p["major"] = d.major;
    p["minor"] = d.minor;
    p["multi_processor_count"] = d.multiprocessors;
    p["total_memory"] = d.memory;
    return p;
  });
  m.def("images", [] {
    py::list list;
    for (size_t n = 0; image(n).family; n++) {
      const ImageText i = image(n);
      list.append(py::make_tuple(i.family, i.kind, i.capability, py::bytes(unpack_image(i.data, i.bytes))));
    }
    return list;
  });
  m.def("synchronize", &synchronize, py::call_guard<engine::ReleaseGil>());
  m.def("memory_stats", &stats_dict);
  m.def("reset_peak_memory_stats", &reset_peak_memory_stats);
  m.def("empty_cache", [](int device) {
    empty_cache(device);
    enter(device);
    release_pinned();
  });
  m.def("mem_get_info", [](int device) {
    enter(device);
    size_t available, total;
    check(api().cuMemGetInfo(&available, &total), "cuMemGetInfo");
    return py::make_tuple(available, total);
  });
  py::class_<Event>(m, "Event")
      .def(py::init<bool>())
      .def("record", &Event::record)
      .def("query", &Event::query)
      .def("synchronize", &Event::wait, py::call_guard<engine::ReleaseGil>())
      .def("elapsed_time", &Event::milliseconds_until);
  m.def("get_matmul_precision", [] { return int(matmul_precision()); }); // 0 highest, 1 high, 2 medium
}
