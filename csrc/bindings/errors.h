// engine's Error as a Python exception, for every extension module.
#pragma once
#include <pybind11/pybind11.h>

#include "core/errors.h"

namespace engine {

inline void set_python_error(const Error& error) {
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

inline void register_errors() {
  pybind11::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& error) { set_python_error(error); }
  });
}

} // namespace engine
