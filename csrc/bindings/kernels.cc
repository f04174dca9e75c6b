// One Python callable a row of kernels.def: engine._core.kernels.<name>(arguments…) -> the outputs.
//
// A call is checked against the row's signature (see kernels.def for the grammar), outputs are allocated, the kernel of
// the running ISA and dtype is called without the GIL. Every check comes before any memory is written.
#include <string.h>

#include <deque>
#include <memory>

#include "bindings/bindings.h"
#include "core/fpenv.h"
#include "cpu/dispatch.h"
#include "kernels.h"

namespace py = pybind11;

namespace engine {
namespace {

enum class Kind : uint8_t { in, opt, inout, out, list, inout_list, real, integer, boolean };

bool is_array(Kind k) { return k <= Kind::inout; }
bool is_list(Kind k) { return k == Kind::list || k == Kind::inout_list; }

template <class P>
struct kind_of;
template <>
struct kind_of<In> {
  static constexpr Kind value = Kind::in;
};
template <>
struct kind_of<Opt> {
  static constexpr Kind value = Kind::opt;
};
template <>
struct kind_of<InOut> {
  static constexpr Kind value = Kind::inout;
};
template <>
struct kind_of<Out> {
  static constexpr Kind value = Kind::out;
};
template <>
struct kind_of<InList> {
  static constexpr Kind value = Kind::list;
};
template <>
struct kind_of<InOutList> {
  static constexpr Kind value = Kind::inout_list;
};
template <>
struct kind_of<double> {
  static constexpr Kind value = Kind::real;
};
template <>
struct kind_of<int64_t> {
  static constexpr Kind value = Kind::integer;
};
template <>
struct kind_of<bool> {
  static constexpr Kind value = Kind::boolean;
};

constexpr int kMaxParams = 32, kMaxNames = 24;

union Value {
  const View* view;
  List list;
  double real;
  int64_t integer;
};

template <class P>
P as_param(const Value& v) {
  if constexpr (kind_of<P>::value == Kind::real)
    return v.real;
  else if constexpr (kind_of<P>::value == Kind::integer)
    return v.integer;
  else if constexpr (kind_of<P>::value == Kind::boolean)
    return v.integer != 0;
  else if constexpr (kind_of<P>::value == Kind::list || kind_of<P>::value == Kind::inout_list) {
    P p;
    p.views = v.list.views;
    p.count = v.list.count;
    return p;
  } else {
    P p;
    p.v = v.view;
    return p;
  }
}

template <class Params>
struct Caller;
template <class... P>
struct Caller<void(P...)> {
  static constexpr Kind kinds[] = {kind_of<P>::value...};
  template <size_t... I>
  static void apply(void (*fn)(P...), const Value* values, std::index_sequence<I...>) {
    fn(as_param<P>(values[I])...);
  }
  static void call(const void* slots, int dtype, const Value* values) {
    apply(static_cast<const Slots<void(P...)>*>(slots)->by_dtype[dtype], values, std::index_sequence_for<P...>{});
  }
};

struct Dim {
  enum { star, broadcast, named, literal } what;
  int name = 0;      // index into Row::names
  int64_t value = 0; // the literal, or what is added to the named size
};

struct ParamSpec {
  std::string name;
  Kind kind;
  bool any_dtype = false, fixed_dtype = false, strided = false, broadcast = false, star = false;
  DType dtype = DType::f32;
  int scalar_name = -1; // the size that an integer scalar of this name stands for
  std::vector<Dim> dims;
};

struct Row {
  const char* name;
  const char* signature;
  const char* contract;
  size_t slot; // offset of the row's Slots in Kernels
  bool available[kNumDTypes];
  void (*call)(const void* slots, int dtype, const Value* values);
  std::vector<ParamSpec> params;
  std::vector<std::string> names; // sizes bound by name
  int inputs = 0;
  std::string doc;
  PyMethodDef def{};
};

[[noreturn]] void fail(const Row& row, ErrorKind kind, const std::string& arg, const std::string& expected,
                       const std::string& got) {
  throw Error(kind, std::string("[") + row.name + "] " + arg + ": expected " + expected + ", got " + got);
}

// ---------------------------------------------------------------- reading signatures

void parse(Row& row, const Kind* kinds, int n) {
  auto name_index = [&](const std::string& name) {
    for (size_t i = 0; i < row.names.size(); i++)
      if (row.names[i] == name) return int(i);
    row.names.push_back(name);
    return int(row.names.size()) - 1;
  };
  std::string text = row.signature, word;
  std::vector<std::string> words;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != ' ') {
      word += text[i];
      continue;
    }
    if (!word.empty() && word != "->") words.push_back(word);
    word.clear();
  }
  auto bad = [&](const std::string& why) {
    throw std::logic_error(std::string("kernels.def, ") + row.name + ": " + why);
  };
  if (int(words.size()) != n || n > kMaxParams)
    bad("the signature has " + std::to_string(words.size()) + " words for " + std::to_string(n) + " parameters");
  for (int i = 0; i < n; i++) {
    ParamSpec p;
    p.kind = kinds[i];
    std::string w = words[i];
    if (w[0] == '~') {
      p.strided = true;
      w.erase(0, 1);
    }
    size_t open = w.find(is_list(p.kind) ? '{' : '['), colon = w.find(':');
    bool scalar = p.kind == Kind::real || p.kind == Kind::integer || p.kind == Kind::boolean;
    if (scalar != (open == std::string::npos)) bad("word '" + w + "' does not fit its parameter");
    if (colon != std::string::npos) {
      std::string type = w.substr(colon + 1, open - colon - 1);
      p.any_dtype = type == "any";
      p.fixed_dtype = !p.any_dtype;
      bool known = p.any_dtype;
      for (int t = 0; t < kNumDTypes; t++)
        if (type == kDTypeName[t]) {
          p.dtype = DType(t);
          known = true;
        }
      if (!known) bad("unknown dtype '" + type + "'");
    }
    p.name = w.substr(0, colon < open ? colon : open);
    if (p.kind == Kind::integer) p.scalar_name = name_index(p.name);
    if (is_list(p.kind)) {
      std::string length = w.substr(open + 1, w.size() - open - 2);
      if (!length.empty()) p.scalar_name = name_index(length);
    } else if (!scalar) {
      std::string dims = w.substr(open + 1, w.size() - open - 2);
      size_t from = 0;
      while (from < dims.size()) {
        size_t comma = dims.find(',', from);
        if (comma == std::string::npos) comma = dims.size();
        std::string d = dims.substr(from, comma - from);
        from = comma + 1;
        if (d == "*") {
          p.star = true;
          p.dims.push_back({Dim::star});
        } else if (d == "...") {
          p.broadcast = true;
          p.dims.push_back({Dim::broadcast});
        } else if (isdigit(d[0]))
          p.dims.push_back({Dim::literal, 0, std::stoll(d)});
        else {
          size_t plus = d.find('+');
          p.dims.push_back({Dim::named, name_index(d.substr(0, plus)),
                            plus == std::string::npos ? 0 : std::stoll(d.substr(plus + 1))});
        }
      }
      if (p.star && p.dims[0].what != Dim::star) bad("* must come first");
    }
    if (p.kind != Kind::out) {
      if (row.inputs != i) bad("outputs must come last");
      row.inputs++;
    }
    row.params.push_back(std::move(p));
  }
  if (row.names.size() > size_t(kMaxNames)) bad("too many sizes");
  row.doc = std::string(row.name) + "(";
  for (int i = 0; i < row.inputs; i++) row.doc += (i ? ", " : "") + row.params[i].name;
  row.doc += ")\n\n" + std::string(row.contract) + "\n\n" + row.signature;
}

// ---------------------------------------------------------------- checking a call

struct Call {
  const Row& row;
  PyObject* const* args;
  const Array* arrays[kMaxParams];
  Array made[kMaxParams]; // contiguous copies of arguments, and outputs
  View views[kMaxParams];
  Value values[kMaxParams];
  int64_t sizes[kMaxNames];
  bool bound[kMaxNames] = {};
  const Array* star = nullptr; // whose leading dimensions * stands for
  int star_dims = 0;
  int64_t broadcast_shape[kMaxDims];
  int broadcast_dims = -1;
  int dtype = -1;

  Call(const Row& r, PyObject* const* a) : row(r), args(a) {}

  void read_arguments();
  void bind_shape(int i);
  void bind_broadcast();
  void lay_out(int i);
  void make_output(int i);
  std::string expected_shape(const ParamSpec& p) const;

  struct ListOfArrays {
    std::vector<const Array*> arrays;
    std::vector<View> views;
    std::deque<Array> made;
  };
  std::unique_ptr<ListOfArrays> lists[kMaxParams];
  int list_length = -1;
  void read_list(int i);
  void lay_out_list(int i);
  void take_dtype(const ParamSpec& p, const Array& a);
};

std::string type_text(PyObject* o) { return Py_TYPE(o)->tp_name; }

// Checks an argument's dtype; the first one without a dtype of its own decides the row's T.
void Call::take_dtype(const ParamSpec& p, const Array& a) {
  if (p.any_dtype) return;
  if (p.fixed_dtype) {
    if (a.dtype != p.dtype) fail(row, ErrorKind::type, p.name, dtype_name(p.dtype), dtype_name(a.dtype));
  } else if (dtype < 0) {
    dtype = int(a.dtype);
    if (row.available[dtype]) return;
    std::string list;
    for (int t = 0; t < kNumDTypes; t++)
      if (row.available[t]) list += (list.empty() ? "" : " or ") + std::string(kDTypeName[t]);
    fail(row, ErrorKind::type, p.name, list, dtype_name(a.dtype));
  } else if (int(a.dtype) != dtype) {
    fail(row, ErrorKind::type, p.name, kDTypeName[dtype], dtype_name(a.dtype));
  }
}

void Call::read_list(int i) {
  const ParamSpec& p = row.params[i];
  PyObject* o = args[i];
  if (!PyList_Check(o) && !PyTuple_Check(o))
    fail(row, ErrorKind::type, p.name, "a list or tuple of Arrays", type_text(o));
  lists[i] = std::make_unique<ListOfArrays>();
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  for (Py_ssize_t k = 0; k < n; k++) {
    PyObject* item = PySequence_Fast_GET_ITEM(o, k);
    const Array* a = array_in(item);
    if (!a) fail(row, ErrorKind::type, p.name + "[" + std::to_string(k) + "]", "an Array", type_text(item));
    take_dtype(p, *a);
    lists[i]->arrays.push_back(a);
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

void Call::read_arguments() {
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
          fail(row, ErrorKind::type, p.name, "an Array", type_text(o));
        }
        take_dtype(p, *arrays[i]);
      }
    }
  }
  if (dtype < 0) {
    dtype = int(DType::f32);
    for (int i = 0; i < row.inputs; i++)
      if (row.params[i].kind == Kind::integer && row.params[i].name == "dtype") dtype = int(values[i].integer);
    if (dtype < 0 || dtype >= kNumDTypes || !row.available[dtype])
      fail(row, ErrorKind::type, "dtype", "one that the op supports",
           dtype >= 0 && dtype < kNumDTypes ? kDTypeName[dtype] : std::to_string(dtype));
  }
}

std::string Call::expected_shape(const ParamSpec& p) const {
  std::string text = "(";
  bool first = true;
  auto add = [&](const std::string& s) {
    text += (first ? "" : ", ") + s;
    first = false;
  };
  for (const Dim& d : p.dims) {
    if (d.what == Dim::literal)
      add(std::to_string(d.value));
    else if (d.what == Dim::named && bound[d.name])
      add(std::to_string(sizes[d.name] + d.value));
    else if (d.what == Dim::named)
      add(row.names[d.name] + (d.value ? "+" + std::to_string(d.value) : ""));
    else if (d.what == Dim::star && star)
      for (int k = 0; k < star_dims; k++) add(std::to_string(star->shape[k]));
    else
      add("...");
  }
  return text + (p.dims.size() == 1 && !first && p.dims[0].what != Dim::star ? ",)" : ")");
}

void Call::bind_shape(int i) {
  const ParamSpec& p = row.params[i];
  const Array& a = *arrays[i];
  auto mismatch = [&] {
    fail(row, ErrorKind::value, p.name, "shape " + expected_shape(p), shape_text(a.shape, a.ndim));
  };
  const int fixed = int(p.dims.size()) - p.star, lead = a.ndim - fixed;
  if (lead < 0 || (lead > 0 && !p.star)) mismatch();
  if (p.star) {
    if (!star) {
      star = &a;
      star_dims = lead;
    } else if (star_dims != lead || memcmp(star->shape, a.shape, sizeof(int64_t) * lead) != 0)
      mismatch();
  }
  for (int k = 0; k < fixed; k++) {
    const Dim& d = p.dims[k + p.star];
    const int64_t size = a.shape[lead + k];
    if (d.what == Dim::literal) {
      if (size != d.value) mismatch();
    } else if (bound[d.name]) {
      if (size != sizes[d.name] + d.value) mismatch();
    } else {
      if (size < d.value) mismatch();
      sizes[d.name] = size - d.value;
      bound[d.name] = true;
    }
  }
}

// All [...] arguments are broadcast together; an InOut among them must already have the whole shape.
void Call::bind_broadcast() {
  int fixed = -1;
  for (int i = 0; i < row.inputs; i++) {
    if (!row.params[i].broadcast || !arrays[i]) continue;
    if (row.params[i].kind == Kind::inout && fixed < 0) fixed = i;
    broadcast_dims = std::max(broadcast_dims, arrays[i]->ndim);
  }
  if (broadcast_dims < 0) return;
  for (int k = 0; k < broadcast_dims; k++) broadcast_shape[k] = 1;
  auto join = [&](int i) {
    const Array& a = *arrays[i];
    for (int k = 0; k < a.ndim; k++) {
      int64_t& size = broadcast_shape[broadcast_dims - a.ndim + k];
      if (a.shape[k] == size || a.shape[k] == 1) continue;
      if (size != 1 || (fixed >= 0 && i != fixed))
        fail(row, ErrorKind::value, row.params[i].name,
             "a shape that broadcasts with " + shape_text(broadcast_shape, broadcast_dims),
             shape_text(a.shape, a.ndim));
      size = a.shape[k];
    }
  };
  if (fixed >= 0) join(fixed);
  for (int i = 0; i < row.inputs; i++)
    if (row.params[i].broadcast && arrays[i] && i != fixed) join(i);
  if (fixed >= 0 && arrays[fixed]->ndim != broadcast_dims)
    fail(row, ErrorKind::value, row.params[fixed].name, "shape " + shape_text(broadcast_shape, broadcast_dims),
         shape_text(arrays[fixed]->shape, arrays[fixed]->ndim));
}

Array contiguous_copy(const Array& a) {
  Array made = Array::empty(a.shape, a.ndim, a.dtype);
  View from = a.view(), to = made.view();
  InOut dst;
  dst.v = &to;
  In src;
  src.v = &from;
  active_isa().kernels->copy.by_dtype[int(a.dtype)](dst, src);
  return made;
}

void Call::lay_out(int i) {
  const ParamSpec& p = row.params[i];
  const Array* a = arrays[i];
  if (p.kind == Kind::inout && a->storage->readonly)
    fail(row, ErrorKind::value, p.name, "an array that may be written", "memory that its owner marked read-only");
  if (p.broadcast) {
    View& v = views[i];
    v.data = a->data();
    v.dtype = a->dtype;
    v.ndim = broadcast_dims;
    const int lead = broadcast_dims - a->ndim;
    for (int k = 0; k < broadcast_dims; k++) {
      v.shape[k] = broadcast_shape[k];
      v.strides[k] = k < lead || a->shape[k - lead] == 1 ? 0 : a->strides[k - lead];
    }
  } else {
    if (!p.strided && !a->is_contiguous()) {
      if (p.kind == Kind::inout) fail(row, ErrorKind::value, p.name, "a contiguous array", "a strided view");
      made[i] = contiguous_copy(*a);
      a = &made[i];
    }
    a->fill_view(views[i]);
  }
  values[i].view = &views[i];
}

void Call::lay_out_list(int i) {
  const ParamSpec& p = row.params[i];
  ListOfArrays& list = *lists[i];
  list.views.resize(list.arrays.size());
  for (size_t k = 0; k < list.arrays.size(); k++) {
    const Array* a = list.arrays[k];
    const bool writes = p.kind == Kind::inout_list;
    if (writes && (a->storage->readonly || !a->is_contiguous()))
      fail(row, ErrorKind::value, p.name + "[" + std::to_string(k) + "]", "a contiguous array that may be written",
           a->storage->readonly ? "read-only memory" : "a strided view");
    if (!a->is_contiguous()) {
      list.made.push_back(contiguous_copy(*a));
      a = &list.made.back();
    }
    a->fill_view(list.views[k]);
  }
  values[i].list = {list.views.data(), int64_t(list.views.size())};
}

void Call::make_output(int i) {
  const ParamSpec& p = row.params[i];
  int64_t shape[kMaxDims];
  int n = 0;
  auto push = [&](int64_t size) {
    if (n == kMaxDims) fail(row, ErrorKind::value, p.name, "at most 8 dimensions", "more");
    shape[n++] = size;
  };
  for (const Dim& d : p.dims) {
    if (d.what == Dim::literal)
      push(d.value);
    else if (d.what == Dim::named)
      push(sizes[d.name] + d.value);
    else if (d.what == Dim::star)
      for (int k = 0; k < star_dims; k++) push(star->shape[k]);
    else
      for (int k = 0; k < broadcast_dims; k++) push(broadcast_shape[k]);
  }
  made[i] = Array::empty(shape, n, p.fixed_dtype ? p.dtype : DType(dtype));
  made[i].fill_view(views[i]);
  values[i].view = &views[i];
}

// Memory that is written must not be read through another argument, unless it is the very same view.
void check_overlap(const Call& call) {
  const Row& row = call.row;
  for (int i = 0; i < row.inputs; i++) {
    if (row.params[i].kind != Kind::inout) continue;
    for (int k = 0; k < row.inputs; k++) {
      Kind kind = row.params[k].kind;
      if (k == i || !is_array(kind) || !call.values[k].view) continue;
      const View &a = call.views[i], &b = call.views[k];
      if (call.made[k].storage) continue; // it was copied
      bool same = a.data == b.data && a.ndim == b.ndim && !memcmp(a.shape, b.shape, sizeof(int64_t) * a.ndim) &&
                  !memcmp(a.strides, b.strides, sizeof(int64_t) * a.ndim);
      if (same) continue;
      auto span = [](const View& v, const char*& low, const char*& high) {
        low = high = static_cast<const char*>(v.data);
        for (int d = 0; d < v.ndim; d++) {
          if (v.shape[d] == 0) {
            high = low;
            return;
          }
          high += (v.shape[d] - 1) * v.strides[d] * item_size(v.dtype);
        }
        high += item_size(v.dtype);
      };
      const char *a0, *a1, *b0, *b1;
      span(a, a0, a1);
      span(b, b0, b1);
      if (a0 < b1 && b0 < a1)
        fail(row, ErrorKind::value, row.params[k].name,
             "memory that does not overlap with " + row.params[i].name + " (use .clone())", "an overlapping view");
    }
  }
}

PyObject* call_row(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  const Row& row = *static_cast<const Row*>(PyCapsule_GetPointer(self, nullptr));
  try {
    if (nargs != row.inputs) fail(row, ErrorKind::type, "arguments", std::to_string(row.inputs), std::to_string(nargs));
    Call call(row, args);
    call.read_arguments();
    bool any_broadcast = false, any_inout = false;
    for (int i = 0; i < row.inputs; i++) {
      const ParamSpec& p = row.params[i];
      if (p.kind == Kind::inout_list) any_inout = true;
      if (!is_array(p.kind) || !call.arrays[i]) continue;
      any_inout |= p.kind == Kind::inout;
      if (p.broadcast)
        any_broadcast = true;
      else
        call.bind_shape(i);
    }
    if (any_broadcast) call.bind_broadcast();
    const int n = int(row.params.size());
    for (int i = 0; i < row.inputs; i++)
      if (is_list(row.params[i].kind))
        call.lay_out_list(i);
      else if (is_array(row.params[i].kind) && call.arrays[i])
        call.lay_out(i);
    if (any_inout) check_overlap(call);
    for (int i = row.inputs; i < n; i++) call.make_output(i);
    {
      py::gil_scoped_release release;
      FlushDenormals flush;
      row.call(reinterpret_cast<const char*>(active_isa().kernels) + row.slot, call.dtype, call.values);
    }
    for (int i = 0; any_inout && i < row.inputs; i++) {
      if (row.params[i].kind == Kind::inout)
        call.arrays[i]->storage->version++;
      else if (row.params[i].kind == Kind::inout_list)
        for (const Array* a : call.lists[i]->arrays) a->storage->version++;
    }
    const int outs = n - row.inputs;
    if (outs == 0) Py_RETURN_NONE;
    if (outs == 1) return py::cast(std::move(call.made[n - 1])).release().ptr();
    py::tuple result(outs);
    for (int i = 0; i < outs; i++) result[i] = py::cast(std::move(call.made[row.inputs + i]));
    return result.release().ptr();
  } catch (const Error& error) { set_python_error(error); } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, (std::string("[") + row.name + "] out of memory").c_str());
  } catch (const std::exception& error) { PyErr_SetString(PyExc_RuntimeError, error.what()); }
  return nullptr;
}

std::deque<Row>& rows() {
  static auto* list = new std::deque<Row>;
  return *list;
}

} // namespace

void bind_kernels(py::module_& m) {
  py::module_ kernels = m.def_submodule("kernels", "A callable for each row of csrc/kernels.def.");
#define KERNEL(family, name_, group, params_, signature_, contract_)                                         \
  {                                                                                                          \
    using C = Caller<void params_>;                                                                          \
    rows().emplace_back();                                                                                   \
    Row& row = rows().back();                                                                                \
    row.name = #name_;                                                                                       \
    row.signature = signature_;                                                                              \
    row.contract = contract_;                                                                                \
    row.slot = offsetof(Kernels, name_);                                                                     \
    row.call = &C::call;                                                                                     \
    for (int t = 0; t < kNumDTypes; t++) row.available[t] = isas()[0].kernels->name_.by_dtype[t] != nullptr; \
    parse(row, C::kinds, int(sizeof(C::kinds) / sizeof(Kind)));                                              \
  }
#include "kernels.def"
#undef KERNEL
  py::list names;
  for (Row& row : rows()) {
    row.def = {row.name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_row)), METH_FASTCALL,
               row.doc.c_str()};
    py::capsule self(&row);
    kernels.attr(row.name) = py::reinterpret_steal<py::object>(PyCFunction_New(&row.def, self.ptr()));
    py::list dtypes;
    for (int t = 0; t < kNumDTypes; t++)
      if (row.available[t]) dtypes.append(kDTypeName[t]);
    names.append(py::make_tuple(row.name, row.signature, dtypes, row.contract));
  }
  m.attr("kernel_rows") = names;
}

} // namespace engine
