// The extension module engine._core.
#include "bindings/bindings.h"

namespace py = pybind11;

namespace engine {

void set_python_error(const Error& error) {
  PyObject* type = PyExc_RuntimeError;
  switch (error.kind) {
    case ErrorKind::value:
      type = PyExc_ValueError;
      break;
    case ErrorKind::type:
      type = PyExc_TypeError;
      break;
    case ErrorKind::index:
      type = PyExc_IndexError;
      break;
    case ErrorKind::memory:
      type = PyExc_MemoryError;
      break;
    case ErrorKind::runtime:
      break;
  }
  PyErr_SetString(type, error.what());
}

} // namespace engine

PYBIND11_MODULE(_core, m) {
  m.doc() = "Arrays and kernels of engine; use the names of the package `engine` instead.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const engine::Error& error) { engine::set_python_error(error); }
  });
  engine::bind_array(m);
  engine::bind_kernels(m);
  engine::bind_runtime(m);
}
