// The attributes of Array that every op reads, and the check of what the tape saved. Written against Python's C API:
// through pybind11's properties each of about 200 reads in a small training step takes twice as long.
#include "bindings/bindings.h"

namespace py = pybind11;

namespace engine {
namespace {

PyObject* numbers(const int64_t* values, int n) {
  PyObject* tuple = PyTuple_New(n);
  for (int i = 0; tuple && i < n; i++) {
    PyObject* value = PyLong_FromLongLong(values[i]);
    if (value)
      PyTuple_SET_ITEM(tuple, i, value);
    else
      Py_CLEAR(tuple);
  }
  return tuple;
}

PyObject* shape(const Array& a) { return numbers(a.shape, a.ndim); }
PyObject* strides(const Array& a) { return numbers(a.strides, a.ndim); }
PyObject* dtype(const Array& a) { return dtype_object(a.dtype).release().ptr(); }
PyObject* device(const Array& a) { return PyLong_FromLong(a.device()); }
PyObject* ndim(const Array& a) { return PyLong_FromLong(a.ndim); }
PyObject* size(const Array& a) { return PyLong_FromLongLong(a.numel()); }
PyObject* version(const Array& a) { return PyLong_FromUnsignedLongLong(a.storage->version.load()); }
PyObject* is_contiguous(const Array& a) { return PyBool_FromLong(a.is_contiguous()); }
PyObject* owns_storage_alone(const Array& a) { return PyBool_FromLong(a.storage.use_count() == 1); }

PyObject* meta(const Array& a) {
  PyObject *parts[] = {shape(a), dtype(a), device(a)}, *tuple = nullptr;
  if (parts[0] && parts[2]) tuple = PyTuple_Pack(3, parts[0], parts[1], parts[2]);
  for (PyObject* part : parts) Py_XDECREF(part);
  return tuple;
}

template <PyObject* (*Of)(const Array&)>
PyObject* get(PyObject* self, void*) {
  return Of(*array_in(self));
}

// Each description begins with the type, for tools/stubs.py.
PyGetSetDef attributes[] = {
    {"shape", get<shape>, nullptr, "tuple[int, ...]: the sizes of the dimensions.", nullptr},
    {"strides", get<strides>, nullptr, "tuple[int, ...]: in elements.", nullptr},
    {"dtype", get<dtype>, nullptr, "DType: the type of the elements.", nullptr},
    {"device", get<device>, nullptr, "int: -1 for the CPU, else the number of the device.", nullptr},
    {"meta", get<meta>, nullptr, "Any: (shape, dtype, device), in one call what the tape keeps of every output.",
     nullptr},
    {"ndim", get<ndim>, nullptr, "int: the number of dimensions.", nullptr},
    {"size", get<size>, nullptr, "int: the number of elements.", nullptr},
    {"version", get<version>, nullptr, "int: the number of in-place writes to the memory.", nullptr},
    {"is_contiguous", get<is_contiguous>, nullptr, "bool: whether the elements lie one after the other.", nullptr},
    {"owns_storage_alone", get<owns_storage_alone>, nullptr, "bool: whether no other Array has the memory.", nullptr},
};

// For each item of a tuple the version of its memory; None for what is no Array.
PyObject* versions(PyObject*, PyObject* items) {
  if (!PyTuple_Check(items)) return PyErr_Format(PyExc_TypeError, "versions() takes a tuple");
  PyObject* found = PyTuple_New(PyTuple_GET_SIZE(items));
  for (Py_ssize_t i = 0; found && i < PyTuple_GET_SIZE(items); i++) {
    const Array* a = array_in(PyTuple_GET_ITEM(items, i));
    PyObject* number = a ? version(*a) : Py_NewRef(Py_None);
    if (number)
      PyTuple_SET_ITEM(found, i, number);
    else
      Py_CLEAR(found);
  }
  return found;
}

// The index of the first item that has another version than then; -1 if none has. (items, versions).
PyObject* first_changed(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != 2 || !PyTuple_Check(args[0]) || !PyTuple_Check(args[1]))
    return PyErr_Format(PyExc_TypeError, "first_changed() takes two tuples");
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]) && i < PyTuple_GET_SIZE(args[0]); i++) {
    PyObject* then = PyTuple_GET_ITEM(args[1], i);
    if (!PyLong_Check(then)) continue;
    const Array* a = array_in(PyTuple_GET_ITEM(args[0], i));
    if (!a || PyLong_AsUnsignedLongLong(then) != a->storage->version.load()) return PyLong_FromSsize_t(i);
  }
  return PyLong_FromLong(-1);
}

PyMethodDef functions[] = {
    {"versions", versions, METH_O, nullptr},
    {"first_changed", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(first_changed)), METH_FASTCALL,
     nullptr},
    {},
};

} // namespace

void bind_attributes(py::module_& m, py::handle array) {
  auto* type = reinterpret_cast<PyTypeObject*>(array.ptr());
  for (PyGetSetDef& attribute : attributes)
    array.attr(attribute.name) = py::reinterpret_steal<py::object>(PyDescr_NewGetSet(type, &attribute));
  if (PyModule_AddFunctions(m.ptr(), functions)) throw py::error_already_set();
}

} // namespace engine
