// Array and DType as Python sees them: making, viewing, and crossing to NumPy by the buffer protocol.
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/fpenv.h"
#include "core/promote.h"
#include "cpu/dispatch.h"

namespace py = pybind11;

namespace engine {
namespace {

PyTypeObject* array_type = nullptr;
py::object* dtypes[kNumDTypes]; // the one Python object of each dtype: compared by identity

struct PyDType {
  int code;
};

constexpr const char* kBufferFormat[kNumDTypes] = {"f", "d", "i", "q", "B", "?", nullptr, "e", "b", "h"};

DType dtype_of_buffer(const std::string& format, int64_t itemsize) {
  std::string f = format;
  if (f.size() == 2 && (f[0] == '<' || f[0] == '=' || f[0] == '@' || f[0] == '|')) f.erase(0, 1);
  if (f == "f") return DType::f32;
  if (f == "d") return DType::f64;
  if (f == "e") return DType::f16;
  if (f == "?") return DType::boolean;
  if (f == "B") return DType::u8;
  if (f == "b") return DType::i8;
  if (f == "h") return DType::i16;
  if ((f == "i" || f == "l") && itemsize == 4) return DType::i32;
  if ((f == "q" || f == "l") && itemsize == 8) return DType::i64;
  throw Error(ErrorKind::type, "from_buffer", "buffer",
              "float16, float32, float64, int8, int16, int32, int64, uint8 or bool in native byte order",
              "format '" + format + "'");
}

// Zero-copy; the buffer is kept alive by the storage. Negative strides and strides that are no multiple of the element
// cannot be viewed.
Array from_buffer(py::buffer b) {
  auto info = std::make_shared<py::buffer_info>(b.request(false));
  DType t = dtype_of_buffer(info->format, info->itemsize);
  if (info->ndim > kMaxDims)
    throw Error(ErrorKind::value, "from_buffer", "buffer", "at most 8 dimensions", std::to_string(info->ndim));
  Array a;
  a.dtype = t;
  a.ndim = int(info->ndim);
  int64_t span = 1, n = 1;
  for (int i = 0; i < a.ndim; i++) {
    a.shape[i] = info->shape[i];
    n *= a.shape[i];
    if (a.shape[i] > 1 && (info->strides[i] < 0 || info->strides[i] % info->itemsize))
      throw Error(ErrorKind::value, "from_buffer", "buffer",
                  "strides that are non-negative multiples of the element size", std::to_string(info->strides[i]));
    a.strides[i] = a.shape[i] > 1 ? info->strides[i] / info->itemsize : 1;
    span += (a.shape[i] - 1) * a.strides[i];
  }
  if (n && reinterpret_cast<uintptr_t>(info->ptr) % size_t(info->itemsize))
    throw Error(ErrorKind::value, "from_buffer", "buffer", "memory aligned to the element size",
                std::to_string(reinterpret_cast<uintptr_t>(info->ptr) % 64) + " bytes past a multiple of 64");
  a.storage = Storage::foreign(info->ptr, n ? size_t(span * info->itemsize) : 0, kCpu, [info]() mutable {
    py::gil_scoped_acquire gil;
    info.reset();
  });
  a.storage->readonly = info->readonly;
  return a;
}

} // namespace

void copy_on_device(const Array& dst, const Array& src) {
  View to = dst.view(), from = src.view();
  InOut d;
  d.v = &to;
  In s;
  s.v = &from;
  const bool on_cpu = dst.device() == kCpu;
  ReleaseGil release(!on_cpu || dst.numel() > kQuick);
  FlushDenormals flush;
  if (!on_cpu) backend().enter(dst.device());
  const Kernels* table = on_cpu ? active_isa().kernels : backend().kernels;
  copy_elements(*table, d, s);
}

Array cast_to(const Array& a, DType t) {
  Array out = Array::empty(a.shape, a.ndim, t, a.device());
  copy_on_device(out, a);
  return out;
}

namespace {

// Bytes between contiguous arrays of one dtype and size, at least one of which is on a device.
void move_bytes(const Array& to, const Array& from, bool non_blocking) {
  const size_t bytes = size_t(to.numel() * item_size(to.dtype));
  if (!bytes) return;
  ReleaseGil release(true);
  if (to.device() == kCpu)
    backend().copy_out(from.device(), to.data(), from.data(), bytes);
  else if (from.device() != kCpu)
    backend().copy_across(to.device(), to.data(), from.device(), from.data(), bytes);
  else if (non_blocking && from.storage->pinned)
    backend().copy_in_pinned(to.device(), to.data(), from.data(), bytes, from.storage);
  else
    backend().copy_in(to.device(), to.data(), from.data(), bytes);
}

// A contiguous copy in page-locked memory.
Array pinned(const Array& a) {
  if (a.device() != kCpu)
    throw Error(ErrorKind::value, "pin_memory", "self", "a tensor on the CPU", "one on a CUDA device");
  Array copy;
  copy.dtype = a.dtype;
  copy.ndim = a.ndim;
  int64_t n = 1;
  for (int i = a.ndim - 1; i >= 0; i--) {
    copy.shape[i] = a.shape[i];
    copy.strides[i] = n;
    n *= a.shape[i] ? a.shape[i] : 1;
  }
  const size_t bytes = size_t(a.numel() * item_size(a.dtype));
  void* data = backend().allocate_pinned(bytes);
  copy.storage = Storage::foreign(data, bytes, kCpu, [data] { backend().deallocate_pinned(data); });
  copy.storage->pinned = true;
  copy_on_device(copy, a);
  return copy;
}

} // namespace

void check_device_number(const char* op, int device) {
  const int count = device == kCpu ? 0 : backend().device_count();
  if (device < kCpu || device >= count + (device == kCpu))
    throw Error(ErrorKind::value, op, "device", "-1 (the CPU) or a number below " + std::to_string(count),
                std::to_string(device));
}

Array to_device(const Array& a, int device, bool non_blocking) {
  const Array from = a.is_contiguous() ? a : cast_to(a, a.dtype);
  Array to = Array::empty(a.shape, a.ndim, a.dtype, device);
  move_bytes(to, from, non_blocking);
  return to;
}

namespace {

// dst = src, broadcast and converted to dst's dtype, from any device. Conversion across devices is the CPU's work:
// it knows every dtype.
void copy_into(const Array& dst, const Array& src, bool non_blocking) {
  if (dst.storage->readonly)
    throw Error(ErrorKind::value, "copy", "dst", "an array that may be written",
                "memory that its owner marked read-only");
  const Shape shape(dst.shape, dst.shape + dst.ndim);
  Array from = src;
  bool moved = false;
  if (dst.device() != src.device()) {
    if (src.device() == kCpu && src.dtype != dst.dtype) from = cast_to(src, dst.dtype);
    moved = from.dtype == dst.dtype && dst.is_contiguous() && from.ndim == dst.ndim &&
            !memcmp(from.shape, dst.shape, sizeof(int64_t) * dst.ndim);
    if (moved)
      move_bytes(dst, from.is_contiguous() ? from : cast_to(from, from.dtype), non_blocking);
    else
      from = to_device(from, dst.device(), non_blocking);
  }
  if (!moved) copy_on_device(dst, from.expand(shape));
  dst.storage->version++;
}

// What the host may read.
Array on_cpu(const Array& a) { return a.device() == kCpu ? a : to_device(a, kCpu); }

// The one element as a Python number.
py::object item(const Array& a) {
  if (a.numel() != 1)
    throw Error(ErrorKind::value, "item", "input", "one element", "shape " + shape_text(a.shape, a.ndim));
  const Array host = on_cpu(a);
  const void* p = host.data();
  switch (a.dtype) {
    case DType::f32:
      return py::float_(*static_cast<const float*>(p));
    case DType::f64:
      return py::float_(*static_cast<const double*>(p));
    case DType::i32:
      return py::int_(*static_cast<const int32_t*>(p));
    case DType::i64:
      return py::int_(*static_cast<const int64_t*>(p));
    case DType::u8:
      return py::int_(*static_cast<const uint8_t*>(p));
    case DType::i8:
      return py::int_(*static_cast<const int8_t*>(p));
    case DType::i16:
      return py::int_(*static_cast<const int16_t*>(p));
    case DType::boolean:
      return py::bool_(*static_cast<const bool*>(p));
    default:
      return item(cast_to(host, DType::f32));
  }
}

} // namespace

py::object dtype_object(DType t) { return *dtypes[int(t)]; }

Array* array_in(PyObject* o) {
  if (Py_TYPE(o) != array_type) return nullptr;
  return static_cast<Array*>(reinterpret_cast<py::detail::instance*>(o)->simple_value_holder[0]);
}

// What py::cast does for a value, less the search for the type and the entry in pybind11's table of instances, which
// only serves to find the object of a given pointer again.
PyObject* array_out(Array&& a) {
  PyObject* object = py::detail::make_new_instance(array_type);
  auto* instance = reinterpret_cast<py::detail::instance*>(object);
  Array* held = new Array(std::move(a));
  py::detail::value_and_holder slot = instance->get_value_and_holder();
  slot.value_ptr() = held;
  new (std::addressof(slot.holder<std::unique_ptr<Array>>())) std::unique_ptr<Array>(held);
  slot.set_holder_constructed();
  return object;
}

// pybind11's buffer, but an error is what was raised, by type and words, and not "Error getting buffer" with that as
// its cause.
getbufferproc pybind_buffer;

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  const int failed = pybind_buffer(self, view, flags);
  if (!failed) return 0;
  py::error_already_set error;
  PyObject* cause = PyException_GetCause(error.value().ptr());
  if (cause) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(cause)), cause);
    Py_DECREF(cause);
  } else {
    error.restore();
  }
  return failed;
}

void bind_array(py::module_& m) {
  py::class_<PyDType> dtype(m, "DType",
                            "An element type. Compare with `is` or ==; engine.float32 and so on are its only objects.");
  dtype.def_property_readonly("name", [](const PyDType& d) { return kDTypeName[d.code]; })
      .def_property_readonly("code", [](const PyDType& d) { return d.code; })
      .def_property_readonly(
          "itemsize", [](const PyDType& d) { return kItemSize[d.code]; }, "Bytes of one element.")
      .def_property_readonly("is_floating_point",
                             [](const PyDType& d) { return category(DType(d.code)) == Category::floating; })
      .def("__repr__", [](const PyDType& d) { return std::string("engine.") + kDTypeName[d.code]; })
      .def("__reduce__", [](const PyDType& d) { return std::string(kDTypeName[d.code]); }); // its name here
  for (int t = 0; t < kNumDTypes; t++) {
    dtypes[t] = new py::object(py::cast(PyDType{t}));
    m.attr(kDTypeName[t]) = *dtypes[t];
  }

  py::class_<Array> array(m, "Array", py::buffer_protocol(), py::is_final(),
                          "A typed, strided block of memory. engine.Tensor wraps it.");
  array_type = reinterpret_cast<PyTypeObject*>(array.ptr());
  array_type->tp_new = [](PyTypeObject*, PyObject*, PyObject*) { // an object without an Array would be read as one
    return PyErr_Format(PyExc_TypeError, "Arrays are made by functions, such as engine.empty");
  };
  pybind_buffer = std::exchange(array_type->tp_as_buffer->bf_getbuffer, get_buffer);
  bind_attributes(m, array);
  array
      .def(
          "to_device",
          [](const Array& a, int device, bool non_blocking) {
            if (a.device() == device) return a;
            check_device_number("to_device", device);
            return to_device(a, device, non_blocking);
          },
          py::arg("device"), py::arg("non_blocking") = false)
      .def("pin", &pinned)
      .def_property_readonly("is_pinned", [](const Array& a) { return a.storage->pinned; })
      .def_property_readonly("overlaps_itself", &Array::overlaps_itself)
      .def_property_readonly("offset", [](const Array& a) { return a.offset; })
      .def_property_readonly("data_ptr", [](const Array& a) { return reinterpret_cast<uintptr_t>(a.data()); })
      .def_property_readonly("readonly", [](const Array& a) { return a.storage->readonly; })
      .def_property_readonly("storage_size", [](const Array& a) { return a.storage->bytes / item_size(a.dtype); })
      .def("shares_storage", [](const Array& a, const Array& b) { return a.storage == b.storage; })
      .def("item", &item)
      .def("contiguous", [](const Array& a) { return a.is_contiguous() ? a : cast_to(a, a.dtype); })
      .def("clone", [](const Array& a) { return cast_to(a, a.dtype); })
      .def("cast",
           [](const Array& a, const PyDType& t) { return int(a.dtype) == t.code ? a : cast_to(a, DType(t.code)); })
      .def("as_strided", &Array::as_strided)
      .def("view", &Array::reshape_view)
      .def("view_as", [](const Array& a, const PyDType& t) { return a.view_as(DType(t.code)); })
      .def("reshape",
           [](const Array& a, const Shape& s) { return (a.can_reshape(s) ? a : cast_to(a, a.dtype)).reshape_view(s); })
      .def("permute", &Array::permute)
      .def("transpose", &Array::transpose)
      .def("expand", &Array::expand)
      .def("slice", &Array::slice)
      .def("select", &Array::select)
      .def("squeeze", &Array::squeeze)
      .def("unsqueeze", &Array::unsqueeze)
      .def_buffer([](Array& a) {
        char device[16];
        if (a.device() != kCpu)
          throw Error(ErrorKind::buffer, "buffer", "device", "an array on the CPU",
                      std::string("one on ") + device_text(a.device(), device), "use .cpu() first");
        const char* format = kBufferFormat[int(a.dtype)];
        if (!format)
          throw Error(ErrorKind::buffer, "buffer", "dtype", "one that the buffer protocol knows", "bfloat16",
                      "use .float() first");
        std::vector<py::ssize_t> shape(a.shape, a.shape + a.ndim), strides(a.ndim);
        for (int i = 0; i < a.ndim; i++) strides[i] = a.strides[i] * item_size(a.dtype);
        return py::buffer_info(a.data(), item_size(a.dtype), format, a.ndim, shape, strides, a.storage->readonly);
      })
      // NumPy asks for this if it got no buffer. It drops the error of the buffer, and would make an array of one
      // object.
      .def("__array__", [](const py::object& self, const py::args& args, const py::kwargs& named) {
        return py::module_::import("numpy").attr("asarray")(py::memoryview(self), *args, **named);
      });
  m.def(
      "empty",
      [](const Shape& shape, const py::object& dtype, int device) {
        if (!py::isinstance<PyDType>(dtype))
          throw Error(ErrorKind::type, "empty", "dtype", "a dtype such as engine.float32", py::repr(dtype));
        check_device_number("empty", device);
        return Array::empty(shape, DType(dtype.cast<const PyDType&>().code), device);
      },
      py::arg("shape"), py::arg("dtype"), py::arg("device") = kCpu);
  m.def("copy", &copy_into, py::arg("dst"), py::arg("src"), py::arg("non_blocking") = false,
        "dst = src, whatever their dtypes and devices.");
  m.def("from_buffer", &from_buffer, py::arg("buffer"), "A view of a buffer's memory, without a copy.");
  // Raw little-endian bytes, as safetensors hands them over: copied into a new array.
  m.def("from_bytes", [](py::buffer raw, const Shape& shape, const PyDType& t) {
    py::buffer_info info = raw.request(false);
    Array a = Array::empty(shape, DType(t.code));
    if (info.itemsize * info.size != a.numel() * item_size(a.dtype))
      throw Error(ErrorKind::value, "from_bytes", "raw", std::to_string(a.numel() * item_size(a.dtype)) + " bytes",
                  std::to_string(info.itemsize * info.size));
    memcpy(a.data(), info.ptr, size_t(info.itemsize * info.size));
    return a;
  });
  m.def("to_bytes", [](const Array& a) {
    Array c = on_cpu(a);
    if (!c.is_contiguous()) c = cast_to(c, c.dtype);
    return py::bytes(static_cast<const char*>(c.data()), size_t(c.numel() * item_size(c.dtype)));
  });
  m.def("promote_types",
        [](const PyDType& a, const PyDType& b) { return dtype_object(promote(DType(a.code), DType(b.code))); });
  m.def("set_default_dtype", [](const PyDType& t) { set_default_dtype(DType(t.code)); });
  // Of Arrays and Python numbers, as ops promote them.
  m.def("result_type", [](const py::args& args) {
    ResultType result;
    for (py::handle o : args) {
      const Array* a = array_in(o.ptr());
      if (a)
        result.add(a->dtype, a->ndim ? ResultType::dimensioned : ResultType::zero_dim);
      else if (PyBool_Check(o.ptr()))
        result.add(DType::boolean, ResultType::number);
      else if (PyLong_Check(o.ptr()))
        result.add(DType::i64, ResultType::number);
      else if (PyFloat_Check(o.ptr()))
        result.add(default_dtype(), ResultType::number);
      else
        throw Error(ErrorKind::type, "result_type", "tensors", "Arrays and numbers", Py_TYPE(o.ptr())->tp_name);
    }
    return dtype_object(result.get());
  });
  bind_dlpack(m, array);
  bind_size(m, array);
}

} // namespace engine
