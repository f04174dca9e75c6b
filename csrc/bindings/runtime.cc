// Threads, memory, random state, ISA: the settings of the process.
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/allocator.h"
#include "core/device.h"
#include "core/random.h"
#include "core/threadpool.h"
#include "cpu/dispatch.h"

namespace py = pybind11;

namespace engine {

namespace {

// A setting's value; pybind11's own error would name neither setting nor argument.
template <class T>
T value_of(py::handle value, const char* op, const char* argument, const char* expected) {
  py::detail::make_caster<T> caster;
  // To Python True is 1. No setting here is a truth value, and a limit of True would be one byte.
  if (PyBool_Check(value.ptr()) || !caster.load(value, false))
    throw Error(ErrorKind::type, op, argument, expected, Py_TYPE(value.ptr())->tp_name);
  return py::detail::cast_op<T>(caster);
}

constexpr const char* kPrecisions[] = {"highest", "high", "medium"};

// A seed: an integer of Python in [-2^63, 2^64), modulo 2^64.
uint64_t seed_of(py::handle given) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(given.ptr()));
  if (!index) {
    PyErr_Clear();
    throw Error(ErrorKind::type, "manual_seed", "seed", "an integer", Py_TYPE(given.ptr())->tp_name);
  }
  int overflow;
  const long long small = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (!overflow) return uint64_t(small);
  const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(index.ptr()) : 0;
  if (overflow < 0 || PyErr_Occurred()) {
    PyErr_Clear();
    throw Error(ErrorKind::value, "manual_seed", "seed", "a number in [-2^63, 2^64)", py::str(index));
  }
  return large;
}

} // namespace

void bind_runtime(py::module_& m) {
  // Called by the extension module of a device, with its Backend.
  m.def("register_backend", [](py::capsule given) {
    const Backend* backend = given.get_pointer<const Backend>();
    if (backend->kernels_size != kKernelsSize)
      throw Error(ErrorKind::runtime, "register_backend", "backend", "a module built from the same list of kernels",
                  std::string("another build of ") + backend->name);
    register_backend(backend);
  });
  m.def("get_num_threads", &num_threads);
  m.def(
      "set_num_threads",
      [](py::handle n) {
        const int64_t number = value_of<int64_t>(n, "set_num_threads", "n", "an integer of 64 bits");
        ReleaseGil release;
        set_num_threads(number);
      },
      py::arg("n"));

  m.def("memory_stats", [] {
    MemoryStats s = memory_stats();
    py::dict d;
    d["allocated_bytes"] = s.allocated_bytes;
    d["peak_allocated_bytes"] = s.peak_allocated_bytes;
    d["reserved_bytes"] = s.reserved_bytes;
    d["peak_reserved_bytes"] = s.peak_reserved_bytes;
    d["allocations"] = s.allocations;
    d["segments"] = s.segments;
    d["limit_bytes"] = s.limit_bytes ? py::object(py::int_(s.limit_bytes)) : py::none();
    return d;
  });
  m.def("reset_peak_memory_stats", &reset_peak_memory_stats);
  m.def(
      "set_memory_limit",
      [](py::handle value) {
        const auto bytes =
            value_of<std::optional<int64_t>>(value, "set_memory_limit", "bytes", "None or an integer of 64 bits");
        if (bytes && *bytes <= 0)
          throw Error(ErrorKind::value, "set_memory_limit", "bytes", "None or a number > 0", std::to_string(*bytes));
        set_memory_limit(bytes.value_or(0));
      },
      py::arg("bytes"));
  m.def("empty_cache", &empty_cache);

  m.def("set_guards", &set_guards, py::arg("on"));
  m.def("guard_errors", &guard_errors);

  m.def("manual_seed", [](py::handle seed) { manual_seed(seed_of(seed)); }, py::arg("seed"));
  m.def("random_state", [] {
    RandomState s = random_state();
    return py::make_tuple(s.seed, s.calls);
  });
  m.def("set_random_state", [](uint64_t seed, uint64_t calls) { set_random_state({seed, calls}); });
  // The state that one op draws from, as the two int64 scalars that kernels take.
  m.def(
      "separate_random_state", [](py::handle seed) { separate_random_state({seed_of(seed), 0}); }, py::arg("seed"),
      "Gives this thread its own random state.");
  m.def("next_random", [] {
    RandomState s = next_random();
    return py::make_tuple(int64_t(s.seed), int64_t(s.calls));
  });

  m.def("get_float32_matmul_precision", [] { return kPrecisions[int(matmul_precision())]; });
  m.def(
      "set_float32_matmul_precision",
      [](py::handle precision) {
        const auto name = value_of<std::string>(precision, "set_float32_matmul_precision", "precision", "a string");
        for (int p = 0; p < 3; p++)
          if (name == kPrecisions[p]) return set_matmul_precision(Precision(p));
        throw Error(ErrorKind::value, "set_float32_matmul_precision", "precision", "'highest', 'high' or 'medium'",
                    "'" + name + "'");
      },
      py::arg("precision"));

  m.def("cpu_isas", [] {
    py::list list;
    for (const Isa& isa : isas()) {
      py::dict d;
      d["name"] = isa.name;
      d["supported"] = isa.supported;
      d["needs"] = isa.needs;
      list.append(d);
    }
    return list;
  });
  m.def("get_cpu_isa", [] { return std::string(active_isa().name); });
  m.def("cpu_isa_reason", [] { return isa_reason(); });
  m.def(
      "set_cpu_isa", [](py::handle name) { set_isa(value_of<std::string>(name, "set_cpu_isa", "name", "a string")); },
      py::arg("name"));
}

} // namespace engine
