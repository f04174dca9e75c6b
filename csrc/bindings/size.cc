// Size: the tuple that Tensor.shape returns, with numel(); and the attribute Array.sizes that makes it. Written against
// Python's C API, because scripts ask for shapes all the time: a class in Python would make each shape[0] slower.
#include "bindings/bindings.h"

namespace py = pybind11;

namespace engine {
namespace {

PyTypeObject* size_type = nullptr;

// A Size with the items of a tuple, whose reference is taken.
PyObject* size_of(PyObject* items) {
  if (!items) return nullptr;
  PyObject* size = PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(size_type), items, nullptr);
  Py_DECREF(items);
  return size;
}

PyObject* repr(PyObject* self) {
  PyObject* list = PySequence_List(self);
  if (!list) return nullptr;
  PyObject* text = PyUnicode_FromFormat("engine.Size(%R)", list);
  Py_DECREF(list);
  return text;
}

PyObject* subscript(PyObject* self, PyObject* index) {
  PyObject* found = PyTuple_Type.tp_as_mapping->mp_subscript(self, index);
  return found && PySlice_Check(index) ? size_of(found) : found;
}

PyObject* add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  return size_of(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}

PyObject* repeat(PyObject* self, Py_ssize_t n) { return size_of(PyTuple_Type.tp_as_sequence->sq_repeat(self, n)); }

PyObject* numel(PyObject* self, PyObject*) {
  PyObject* product = PyLong_FromLong(1);
  for (Py_ssize_t i = 0; product && i < PyTuple_GET_SIZE(self); i++) {
    PyObject* next = PyNumber_Multiply(product, PyTuple_GET_ITEM(self, i));
    Py_DECREF(product);
    product = next;
  }
  return product;
}

PyObject* sizes(PyObject* self, void*) {
  const Array& a = *array_in(self);
  PyObject* size = size_type->tp_alloc(size_type, a.ndim);
  if (!size) return nullptr;
  for (int i = 0; i < a.ndim; i++) {
    PyObject* n = PyLong_FromLongLong(a.shape[i]);
    if (!n) {
      Py_DECREF(size);
      return nullptr;
    }
    PyTuple_SET_ITEM(size, i, n);
  }
  return size;
}

PyMethodDef methods[] = {{"numel", numel, METH_NOARGS, "The product of the sizes."}, {}};
PyGetSetDef shape_of_array = {"sizes", sizes, nullptr, "Size: the shape, with numel().", nullptr};

template <class F>
void* slot(F* function) {
  return reinterpret_cast<void*>(function);
}

} // namespace

void bind_size(py::module_& m, py::handle array) {
  const char* doc =
      "A shape: a tuple that also has `numel()`. Parts and sums of it are Sizes, too. Size([2, 3]) is one of these "
      "numbers.";
  PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(doc)},
                         {Py_tp_methods, methods},
                         {Py_tp_repr, slot(repr)},
                         {Py_mp_subscript, slot(subscript)},
                         {Py_nb_add, slot(add)},
                         {Py_sq_repeat, slot(repeat)},
                         {0, nullptr}};
  PyType_Spec spec = {"engine.Size", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  py::object bases = py::make_tuple(py::handle(reinterpret_cast<PyObject*>(&PyTuple_Type)));
  py::object type = py::reinterpret_steal<py::object>(PyType_FromSpecWithBases(&spec, bases.ptr()));
  if (!type) throw py::error_already_set();
  size_type = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr());
  m.attr("Size") = type;
  py::object getter = py::reinterpret_steal<py::object>(
      PyDescr_NewGetSet(reinterpret_cast<PyTypeObject*>(array.ptr()), &shape_of_array));
  array.attr("sizes") = getter;
}

} // namespace engine
