// DLPack both ways (https://dmlc.github.io/dlpack): memory shared with NumPy, PyTorch and JAX without a copy. The
// structs restate the published ABI, versions 0.x ("dltensor") and 1.x ("dltensor_versioned").
#include <pybind11/stl.h>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace engine {
namespace {

struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr int32_t kHost = 1, kCuda = 2; // kDLCPU, kDLCUDA
constexpr uint64_t kReadOnly = 1;
enum : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBFloat = 4, kBool = 6 };

constexpr DLDataType kTypes[kNumDTypes] = {{kFloat, 32, 1}, {kFloat, 64, 1}, {kInt, 32, 1},    {kInt, 64, 1},
                                           {kUInt, 8, 1},   {kBool, 8, 1},   {kBFloat, 16, 1}, {kFloat, 16, 1},
                                           {kInt, 8, 1},    {kInt, 16, 1}};

DLDevice device_of(const Array& a) { return a.device() == kCpu ? DLDevice{kHost, 0} : DLDevice{kCuda, a.device()}; }

template <class M>
struct Export {
  M managed{};
  Array array;
};

template <class M>
M* exported(const Array& a) {
  auto* e = new Export<M>;
  e->array = a;
  DLTensor& t = e->managed.tensor;
  t.data = a.data();
  t.device = device_of(a);
  t.ndim = a.ndim;
  t.dtype = kTypes[int(a.dtype)];
  t.shape = e->array.shape;
  t.strides = e->array.strides;
  e->managed.context = e;
  e->managed.deleter = [](M* m) { delete static_cast<Export<M>*>(m->context); };
  return &e->managed;
}

// A capsule that nobody consumed still owns the tensor.
template <class M, const char* name>
void drop(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* m = static_cast<M*>(PyCapsule_GetPointer(capsule, name));
  if (m->deleter) m->deleter(m);
}
constexpr char kOld[] = "dltensor", kNew[] = "dltensor_versioned";

// The consumer's stream, as the array API counts: None and 1 are the legacy default stream, on which all work here is
// queued; 2 the default stream of a thread; -1 asks for no order; else a stream's handle.
void order_before(const Array& a, const py::object& stream) {
  const int64_t number = stream.is_none() ? 1 : py::cast<int64_t>(stream);
  if (number == 0 || number < -1)
    throw Error(ErrorKind::value, "__dlpack__", "stream", "None, -1, 1, 2 or a stream's handle",
                std::to_string(number));
  if (number > 1) backend().hand_over(a.device(), uintptr_t(number));
}

py::object to_dlpack(const Array& a, py::object stream, py::object max_version, py::object device, py::object copy) {
  const DLDevice own = device_of(a);
  Array shared = a;
  bool copied = false;
  if (!device.is_none() && !device.equal(py::make_tuple(own.type, own.id))) {
    if (!device.equal(py::make_tuple(kHost, 0)))
      throw Error(ErrorKind::buffer, "__dlpack__", "dl_device", "(1, 0), the CPU, or the array's own device",
                  py::str(device));
    if (!copy.is_none() && !py::cast<bool>(copy))
      throw Error(ErrorKind::buffer, "__dlpack__", "copy", "None or True for another device", "False");
    shared = to_device(a, kCpu);
    copied = true;
  }
  if (!copied && !copy.is_none() && py::cast<bool>(copy)) shared = cast_to(a, a.dtype);
  if (shared.device() == kCpu && !copied && !stream.is_none())
    throw Error(ErrorKind::value, "__dlpack__", "stream", "None for a CPU array", py::str(stream));
  if (shared.device() != kCpu) order_before(shared, stream);
  bool versioned = !max_version.is_none() && py::cast<int>(max_version[py::int_(0)]) >= 1;
  PyObject* capsule;
  if (versioned) {
    auto* m = exported<DLManagedTensorVersioned>(shared);
    m->version = {1, 0};
    m->flags = shared.storage->readonly ? kReadOnly : 0;
    capsule = PyCapsule_New(m, kNew, drop<DLManagedTensorVersioned, kNew>);
  } else {
    if (shared.storage->readonly)
      throw Error(ErrorKind::buffer, "__dlpack__", "input", "memory that may be written", "read-only memory",
                  "DLPack before 1.0 cannot say that memory is read-only");
    capsule = PyCapsule_New(exported<DLManagedTensor>(shared), kOld, drop<DLManagedTensor, kOld>);
  }
  return py::reinterpret_steal<py::object>(capsule);
}

template <class M>
Array imported(M* m, bool readonly) {
  // From here on `keep` calls the deleter, also when a check below fails.
  std::shared_ptr<M> keep(m, [](M* p) {
    if (p->deleter) p->deleter(p);
  });
  const DLTensor& t = m->tensor;
  auto fail = [](ErrorKind kind, const std::string& expected, const std::string& got, const char* hint = "") {
    throw Error(kind, "from_dlpack", "input", expected, got, hint);
  };
  const bool on_host = t.device.type == kHost;
  if (!on_host && !(t.device.type == kCuda && has_backend()))
    fail(ErrorKind::value, "an array on the CPU or on a CUDA device whose backend is loaded",
         "device type " + std::to_string(t.device.type));
  if (!on_host && (t.device.id < 0 || t.device.id >= backend().device_count()))
    fail(ErrorKind::value, "a device below " + std::to_string(backend().device_count()), std::to_string(t.device.id));
  if (t.ndim < 0 || t.ndim > kMaxDims) fail(ErrorKind::value, "at most 8 dimensions", std::to_string(t.ndim));
  Array a;
  int code = -1;
  for (int i = 0; i < kNumDTypes; i++)
    if (t.dtype.code == kTypes[i].code && t.dtype.bits == kTypes[i].bits && t.dtype.lanes == 1) code = i;
  if (code < 0)
    fail(ErrorKind::type, "a dtype of engine",
         "DLPack type code " + std::to_string(t.dtype.code) + " with " + std::to_string(t.dtype.bits) + " bits");
  a.dtype = DType(code);
  if (!on_host && a.dtype == DType::f64)
    fail(ErrorKind::type, "a dtype that the device computes in", "float64", "float64 stays on the CPU");
  a.ndim = t.ndim;
  if (t.ndim && !t.shape) fail(ErrorKind::value, "sizes", "a null pointer");
  int64_t n = 1, span = 1, counted = 1, reach;
  for (int i = a.ndim - 1; i >= 0; i--) {
    a.shape[i] = t.shape[i];
    if (a.shape[i] < 0) fail(ErrorKind::value, "no negative size", std::to_string(a.shape[i]));
    a.strides[i] = t.strides ? t.strides[i] : n;
    if (a.shape[i] > 1 && a.strides[i] < 0)
      fail(ErrorKind::value, "non-negative strides", std::to_string(a.strides[i]));
    if (a.shape[i] <= 1) a.strides[i] = 1;
    if (__builtin_mul_overflow(counted, a.shape[i] ? a.shape[i] : 1, &counted) || counted > INT64_MAX / 16 ||
        __builtin_mul_overflow(a.shape[i] - 1, a.strides[i], &reach) || __builtin_add_overflow(span, reach, &span) ||
        span > INT64_MAX / 16)
      fail(ErrorKind::value, "at most 2^59 elements, and as many places in memory", shape_text(t.shape, t.ndim));
    n *= a.shape[i];
  }
  if (n && !t.data) fail(ErrorKind::value, "memory", "a null pointer");
  void* data = static_cast<char*>(t.data) + t.byte_offset;
  const auto misplaced = reinterpret_cast<uintptr_t>(data) % size_t(item_size(a.dtype));
  if (n && misplaced)
    fail(ErrorKind::value, "memory aligned to the element size",
         "an address " + std::to_string(misplaced) + " bytes past it", "copy the array first");
  const size_t bytes = n ? size_t(span * item_size(a.dtype)) : 0;
  a.storage = Storage::foreign(data, bytes, on_host ? kCpu : t.device.id, [keep]() mutable {
    py::gil_scoped_acquire gil; // the owner may be a Python object
    keep.reset();
  });
  a.storage->readonly = readonly;
  return a;
}

int device_type(const py::object& device) {
  try {
    return py::cast<int>(py::object(device[py::int_(0)]));
  } catch (const py::error_already_set&) {
  } catch (const py::cast_error&) {}
  throw Error(ErrorKind::type, "from_dlpack", "input", "(type, number) from __dlpack_device__", py::repr(device));
}

Array from_dlpack(py::object source) {
  py::object capsule = source;
  if (!PyCapsule_CheckExact(source.ptr())) {
    if (!py::hasattr(source, "__dlpack__"))
      throw Error(ErrorKind::type, "from_dlpack", "input", "an object with __dlpack__", Py_TYPE(source.ptr())->tp_name);
    py::dict order; // of an array on a device: work here is queued on the legacy default stream, number 1
    if (py::hasattr(source, "__dlpack_device__") && device_type(source.attr("__dlpack_device__")()) == kCuda)
      order["stream"] = py::int_(1);
    try {
      capsule = source.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 0), **order);
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_TypeError)) throw;
      capsule = source.attr("__dlpack__")(**order); // written before DLPack 1.0
    }
  }
  if (PyCapsule_IsValid(capsule.ptr(), kNew)) {
    auto* m = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), kNew));
    if (m->version.major != 1)
      throw Error(ErrorKind::buffer, "from_dlpack", "input", "DLPack version 1", std::to_string(m->version.major));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    return imported(m, m->flags & kReadOnly);
  }
  if (PyCapsule_IsValid(capsule.ptr(), kOld)) {
    auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kOld));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    return imported(m, false);
  }
  throw Error(ErrorKind::value, "from_dlpack", "input", "a DLPack capsule that was not used before", "another capsule");
}

} // namespace

void bind_dlpack(py::module_& m, py::class_<Array>& array) {
  array.def("__dlpack__", &to_dlpack, py::kw_only(), py::arg("stream") = py::none(),
            py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none());
  array.def("__dlpack_device__", [](const Array& a) {
    const DLDevice d = device_of(a);
    return py::make_tuple(d.type, d.id);
  });
  m.def("from_dlpack", &from_dlpack, py::arg("input"));
}

} // namespace engine
