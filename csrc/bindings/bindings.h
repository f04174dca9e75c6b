// What the binding files share.
#pragma once
#include <pybind11/pybind11.h>

#include "core/array.h"
#include "core/errors.h"

namespace engine {

void bind_array(pybind11::module_& m);
void bind_dlpack(pybind11::module_& m, pybind11::class_<Array>& array);
void bind_kernels(pybind11::module_& m);
void bind_runtime(pybind11::module_& m);

// The Array in a Python object, or null. The type is final, so its first value slot is the Array.
Array* array_in(PyObject* object);

void set_python_error(const Error& error);

} // namespace engine
