// The extension module engine._cuda: hands its Backend to engine._core, and tells about the devices.
#include <pybind11/pybind11.h>

#include "core/device.h"
#include "core/errors.h"
#include "cuda/driver.h"
#include "cuda/memory.h"
#include "cuda/precision.h"
#include "kernels.h"

namespace py = pybind11;

namespace engine::cuda {

extern const Kernels table;

namespace {

const Backend the_backend = {
    "cuda", &table, sizeof(Kernels), &device_count, &allocate, &deallocate, &enter, &copy_in, &copy_out, &copy_across,
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
  return d;
}

} // namespace
} // namespace engine::cuda

PYBIND11_MODULE(_cuda, m) {
  using namespace engine::cuda;
  m.doc() = "The CUDA backend of engine; use engine.cuda instead.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const engine::Error& error) {
      PyObject* type = error.kind == engine::ErrorKind::memory  ? PyExc_MemoryError
                       : error.kind == engine::ErrorKind::value ? PyExc_ValueError
                       : error.kind == engine::ErrorKind::index ? PyExc_IndexError
                       : error.kind == engine::ErrorKind::type  ? PyExc_TypeError
                                                                : PyExc_RuntimeError;
      PyErr_SetString(type, error.what());
    }
  });
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
      list.append(
          py::make_tuple(i.family, i.kind, i.capability, py::bytes(reinterpret_cast<const char*>(i.data), i.bytes)));
    }
    return list;
  });
  m.def("synchronize", &synchronize, py::call_guard<py::gil_scoped_release>());
  m.def("memory_stats", &stats_dict);
  m.def("reset_peak_memory_stats", &reset_peak_memory_stats);
  m.def("empty_cache", &empty_cache);
  m.def("set_matmul_precision", [](int p) { set_matmul_precision(Precision(p)); }); // 0 highest, 1 high, 2 medium
  m.def("get_matmul_precision", [] { return int(matmul_precision()); });
}
