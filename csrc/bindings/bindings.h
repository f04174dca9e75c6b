// What the binding files share.
#pragma once
#include <pybind11/pybind11.h>

#include "bindings/interpreter.h"
#include "core/array.h"
#include "core/errors.h"
#include "core/view.h"

namespace engine {

void bind_array(pybind11::module_& m);
void bind_attributes(pybind11::module_& m, pybind11::handle array);
void bind_dlpack(pybind11::module_& m, pybind11::class_<Array>& array);
void bind_kernels(pybind11::module_& m);
void bind_runtime(pybind11::module_& m);
void bind_size(pybind11::module_& m, pybind11::handle array);

// The one Python object of a dtype.
pybind11::object dtype_object(DType t);
// The Array in a Python object, or null. The type is final, so its first value slot is the Array.
Array* array_in(PyObject* object);
// A new Python object that holds the Array. Throws error_already_set if there is no memory.
PyObject* array_out(Array&& array);

// A contiguous copy in another dtype, or in the same.
Array cast_to(const Array& a, DType t);
// Converted and laid out as dst is, on the device that both are on.
void copy_on_device(const Array& dst, const Array& src);
// Raises Error(value) unless it is -1, the CPU, or the number of a device.
void check_device_number(const char* op, int device);
// A contiguous copy on another device; non_blocking: from pinned memory the copy is only queued.
Array to_device(const Array& a, int device, bool non_blocking = false);

// What others than bindings/kernels.cc need of the rows; it alone of the binding is compiled again for a new one.
extern const size_t kKernelsSize; // sizeof(Kernels)
// The kernel `copy` of that table.
void copy_elements(const Kernels& kernels, InOut dst, In src);

// Moving or combining this many elements is done before the GIL could change hands: it is kept.
constexpr int64_t kQuick = 2048;

} // namespace engine
