// What the arguments of a call are: arrays and numbers read, their device and dtypes checked and mixed.
#include "bindings/call.h"

#include "core/promote.h"
#include "cpu/dispatch.h"

namespace py = pybind11;

namespace engine {
namespace {

// x as the bits of a bfloat16 or float16.
uint16_t short_float(DType t, double x) {
  View to{}, from{};
  double number = x;
  uint16_t bits;
  to.data = &bits;
  to.dtype = t;
  from.data = &number;
  from.dtype = DType::f64;
  InOut dst;
  dst.v = &to;
  In src;
  src.v = &from;
  copy_elements(*active_isa().kernels, dst, src);
  return bits;
}

std::string device_name(int device) {
  char text[16];
  return device_text(device, text);
}

std::string type_text(PyObject* o) { return Py_TYPE(o)->tp_name; }

} // namespace

void Call::refuse_dtype(const ParamSpec& p, DType got) const {
  // A category by its name if all of it will do, else the dtypes by theirs.
  std::string list;
  auto say = [&](const std::string& words) { list += (list.empty() ? "" : " or ") + words; };
  auto takes = [&](int t) { return available(t) || available(int(computed_in(DType(t)))); };
  const std::pair<Category, const char*> categories[] = {{Category::floating, "a floating-point dtype"},
                                                         {Category::integer, "an integer dtype"},
                                                         {Category::boolean, "bool"}};
  for (const auto& [of, words] : categories) {
    std::string names;
    bool all = true;
    for (int t = 0; t < kNumDTypes; t++) {
      if (category(DType(t)) != of) continue;
      if (takes(t))
        names += (names.empty() ? "" : " or ") + std::string(kDTypeName[t]);
      else
        all = false;
    }
    if (!names.empty()) say(all ? words : names);
  }
  fail(row, ErrorKind::type, p.name, list, dtype_name(got));
}

// Makes t the row's T, computed in a wider dtype if there is no kernel for it. False if there is none for either.
bool Call::decide(int t) {
  dtype = t;
  if (available(t)) return true;
  narrow = t;
  dtype = int(computed_in(DType(t)));
  return dtype != t && available(dtype);
}

bool Call::available(int t) const {
  if (device == kCpu) return row.available[t];
  // Slots are by_dtype alone: the row's begins at its offset, whatever its parameters are.
  return reinterpret_cast<void* const*>(reinterpret_cast<const char*>(table) + row.slot)[t] != nullptr;
}

// Where the call runs: on the device of the arrays that are not on the CPU, which must be one.
void Call::find_device() {
  if (!has_backend()) return;
  auto see = [&](const Array* a) {
    if (a && a->device() != kCpu && device == kCpu) device = a->device();
  };
  for (int i = 0; i < row.inputs; i++) {
    const ParamSpec& p = row.params[i];
    if (p.on_host) continue;
    if (is_array(p.kind))
      see(array_in(args[i]));
    else if (is_list(p.kind) && (PyList_Check(args[i]) || PyTuple_Check(args[i])))
      for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(args[i]); k++)
        see(array_in(PySequence_Fast_GET_ITEM(args[i], k)));
  }
}

void Call::check_device(const ParamSpec& p, const Array& a, const std::string& name) const {
  if (a.device() == (p.on_host ? kCpu : device)) return;
  if (a.device() == kCpu && p.broadcast && a.ndim == 0 && p.kind != Kind::inout) return;
  fail(row, ErrorKind::value, name, "an array on " + device_name(p.on_host ? kCpu : device),
       "one on " + device_name(a.device()));
}

// Checks an argument's dtype; the first one whose dtype the row does not fix decides T.
void Call::take_dtype(const ParamSpec& p, const Array& a) {
  if (p.any_dtype || p.mix != Mix::exact) return;
  if (p.accumulator) {
    if (a.dtype != accumulator()) fail(row, ErrorKind::type, p.name, dtype_name(accumulator()), dtype_name(a.dtype));
    return;
  }
  if (p.fixed_dtype) {
    if (a.dtype != p.dtype) fail(row, ErrorKind::type, p.name, dtype_name(p.dtype), dtype_name(a.dtype));
  } else if (dtype < 0) {
    if (!decide(int(a.dtype))) refuse_dtype(p, a.dtype);
  } else if (a.dtype != decided()) {
    fail(row, ErrorKind::type, p.name, dtype_name(decided()), dtype_name(a.dtype));
  }
}

void Call::read_list(int i) {
  const ParamSpec& p = row.params[i];
  PyObject* o = args[i];
  if (!PyList_Check(o) && !PyTuple_Check(o))
    fail(row, ErrorKind::type, p.name, "a list or tuple of Arrays", type_text(o));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  for (Py_ssize_t k = 0; k < n; k++) {
    PyObject* item = PySequence_Fast_GET_ITEM(o, k);
    const Array* a = array_in(item);
    if (!a) fail(row, ErrorKind::type, p.name + "[" + std::to_string(k) + "]", "an Array", type_text(item));
    check_device(p, *a, p.name + "[" + std::to_string(k) + "]");
    take_dtype(p, *a);
    lists[i].arrays.push_back(a);
  }
  if (p.scalar_name >= 0) {
    if (bound[p.scalar_name] && sizes[p.scalar_name] != n)
      fail(row, ErrorKind::value, p.name, std::to_string(sizes[p.scalar_name]) + " arrays", std::to_string(n));
    sizes[p.scalar_name] = n;
    bound[p.scalar_name] = true;
  } else {
    if (list_length >= 0 && list_length != n)
      fail(row, ErrorKind::value, p.name, std::to_string(list_length) + " arrays", std::to_string(n));
    list_length = int(n);
  }
}

// Reads a Python (or NumPy) number in the place of an array; false if it is none.
bool Call::read_number(int i) {
  PyObject* o = args[i];
  Number& number = numbers[i];
  number.is_bool = PyBool_Check(o);
  number.is_float = PyFloat_Check(o);
  if (number.is_float) {
    number.real = PyFloat_AS_DOUBLE(o);
    number.integer = 0;
  } else if (PyLong_Check(o) || PyIndex_Check(o)) {
    py::object integer = py::reinterpret_steal<py::object>(PyNumber_Index(o));
    if (!integer) {
      PyErr_Clear();
      return false;
    }
    int overflow = 0;
    number.integer = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    number.real = double(number.integer);
    if (overflow) { // one without a sign may take 64 bits
      const unsigned long long whole = overflow > 0 ? PyLong_AsUnsignedLongLong(integer.ptr()) : 0;
      if (overflow < 0 || PyErr_Occurred() || row.params[i].must_fit) {
        PyErr_Clear();
        fail(row, ErrorKind::value, row.params[i].name, "an integer of 64 bits", py::str(integer).cast<std::string>());
      }
      number.integer = int64_t(whole);
      number.real = double(whole);
    }
  } else if (Py_TYPE(o)->tp_as_number && Py_TYPE(o)->tp_as_number->nb_float) {
    number.is_float = true;
    number.integer = 0;
    number.real = PyFloat_AsDouble(o);
    if (PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
  } else {
    return false;
  }
  has_number |= 1u << i;
  return true;
}

// Decides the row's T if no argument has, and converts those that are to be mixed.
void Call::mix_dtypes() {
  if (dtype < 0) {
    ResultType result;
    bool any = false;
    Mix mix = Mix::exact;
    for (int i = 0; i < row.inputs; i++) {
      const ParamSpec& p = row.params[i];
      if (p.mix == Mix::exact) continue;
      const bool number = has_number >> i & 1;
      if (!number && !arrays[i]) continue;
      mix = p.mix;
      any = true;
      if (number)
        result.add(numbers[i].is_float  ? default_dtype()
                   : numbers[i].is_bool ? DType::boolean
                                        : DType::i64,
                   ResultType::number);
      else
        result.add(arrays[i]->dtype, arrays[i]->ndim ? ResultType::dimensioned : ResultType::zero_dim);
    }
    if (!any) return;
    DType t = result.get();
    if (mix == Mix::floating && category(t) != Category::floating) t = default_dtype();
    if (mix == Mix::widened && category(t) != Category::floating) t = DType::i64;
    if (!decide(int(t))) {
      int blame = 0; // the first argument that brought this dtype
      while (blame + 1 < row.inputs &&
             !(row.params[blame].mix != Mix::exact && arrays[blame] && arrays[blame]->dtype == t))
        blame++;
      refuse_dtype(row.params[blame], t);
    }
  }
  const DType t = DType(dtype);
  for (int i = 0; i < row.inputs; i++) {
    const ParamSpec& p = row.params[i];
    if (p.mix == Mix::exact) continue;
    const bool number = has_number >> i & 1;
    if (!number && !arrays[i]) continue;
    const Category c = number ? numbers[i].is_float  ? Category::floating
                                : numbers[i].is_bool ? Category::boolean
                                                     : Category::integer
                              : category(arrays[i]->dtype);
    if (c > category(t))
      fail(row, ErrorKind::type, p.name, std::string("what converts to ") + dtype_name(decided()),
           number ? type_text(args[i]) : dtype_name(arrays[i]->dtype));
    if (number) {
      write_number(i);
    } else if (arrays[i]->dtype != t) {
      made.set(i, cast_to(*arrays[i], t));
      arrays[i] = &made[i];
    }
  }
}

// An integer as a value of t, which it may wrap around.
static int64_t wrapped(DType t, int64_t n) {
  switch (t) {
    case DType::i8:
      return int8_t(n);
    case DType::i16:
      return int16_t(n);
    case DType::i32:
      return int32_t(n);
    case DType::u8:
      return uint8_t(n);
    default:
      return n;
  }
}

void Call::write_number(int i) {
  Number& number = numbers[i];
  auto put = [&](auto element) { memcpy(number.element, &element, sizeof element); };
  const int64_t integer = wrapped(decided(), number.integer);
  if (row.params[i].must_fit && integer != number.integer &&
      !(decided() == DType::u8 && number.integer < 0 && number.integer >= -255))
    fail(row, ErrorKind::value, row.params[i].name, std::string("a value of ") + dtype_name(decided()),
         std::to_string(number.integer));
  switch (DType(dtype)) {
    case DType::f32:
      put(float(number.real));
      break;
    case DType::f64:
      put(number.real);
      break;
    case DType::i32:
      put(int32_t(integer));
      break;
    case DType::i64:
      put(integer);
      break;
    case DType::u8:
      put(uint8_t(integer));
      break;
    case DType::boolean:
      put(integer != 0);
      break;
    case DType::bf16:
    case DType::f16:
      put(short_float(DType(dtype), number.real));
      break;
    case DType::i8: // computed in int32: no row that takes numbers has a kernel for them
    case DType::i16:
      break;
  }
}

void Call::read_arguments() {
  find_device();
  if (device != kCpu) table = backend().kernels;
  bool any_mixed = false;
  for (int i = 0; i < row.inputs; i++) {
    const ParamSpec& p = row.params[i];
    PyObject* o = args[i];
    switch (p.kind) {
      case Kind::real: {
        values[i].real = PyFloat_AsDouble(o);
        if (values[i].real == -1.0 && PyErr_Occurred()) {
          PyErr_Clear();
          fail(row, ErrorKind::type, p.name, "a number", type_text(o));
        }
        break;
      }
      case Kind::integer: {
        values[i].integer = PyLong_AsLongLong(o);
        if (values[i].integer == -1 && PyErr_Occurred()) {
          PyErr_Clear();
          fail(row, ErrorKind::type, p.name, "an integer of 64 bits", type_text(o));
        }
        sizes[p.scalar_name] = values[i].integer;
        bound[p.scalar_name] = true;
        break;
      }
      case Kind::boolean: {
        int truth = PyObject_IsTrue(o);
        if (truth < 0) {
          PyErr_Clear();
          fail(row, ErrorKind::type, p.name, "True or False", type_text(o));
        }
        values[i].integer = truth;
        sizes[p.scalar_name] = truth;
        bound[p.scalar_name] = true;
        break;
      }
      case Kind::list:
      case Kind::inout_list:
        read_list(i);
        break;
      default: {
        arrays[i] = o == Py_None && p.kind == Kind::opt ? nullptr : array_in(o);
        if (!arrays[i]) {
          if (o == Py_None && p.kind == Kind::opt) {
            values[i].view = nullptr;
            break;
          }
          if (p.mix != Mix::exact && p.broadcast && read_number(i)) {
            any_mixed = true;
            break;
          }
          fail(row, ErrorKind::type, p.name, p.mix != Mix::exact ? "a Tensor or a number" : "an Array", type_text(o));
        }
        any_mixed |= p.mix != Mix::exact;
        if (arrays[i]->device() != device || p.on_host) check_device(p, *arrays[i], p.name);
        take_dtype(p, *arrays[i]);
      }
    }
  }
  if (any_mixed) mix_dtypes();
  if (dtype < 0) {
    dtype = int(DType::f32);
    for (int i = 0; i < row.inputs; i++)
      if (row.params[i].kind == Kind::integer && row.params[i].name == "dtype") dtype = int(values[i].integer);
    if (dtype < 0 || dtype >= kNumDTypes || !decide(dtype))
      fail(row, ErrorKind::type, "dtype", "one that the op supports",
           dtype >= 0 && dtype < kNumDTypes ? dtype_name(decided()) : std::to_string(dtype));
  }
}

} // namespace engine
