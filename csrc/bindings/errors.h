// engine's Error as a Python exception, for every extension module.
#pragma once
#include <pybind11/pybind11.h>

#include "core/errors.h"

namespace engine {

// Makes the exception of engine/errors.py for the Error's kind, from the Error's data.
inline void set_python_error(const Error& error) {
  namespace py = pybind11;
  constexpr const char* kClasses[] = {"BadValue", "BadType", "BadIndex", "OutOfMemory", "BadState", "BadBuffer"};
  try {
    py::list data;
    for (const std::string* text : {&error.op, &error.argument, &error.expected, &error.got}) data.append(*text);
    if (!error.hint.empty()) data.append(error.hint);
    const py::object type = py::module_::import("engine.errors").attr(kClasses[int(error.kind)]);
    PyErr_SetObject(type.ptr(), type(*py::tuple(data)).ptr());
  } catch (py::error_already_set& other) { other.restore(); }
}

inline void register_errors() {
  pybind11::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& error) { set_python_error(error); }
  });
}

} // namespace engine
