// One Python callable for each row of csrc/kernels: engine._core.kernels.<name>(arguments…) -> the outputs.
//
// A call is checked against the row's signature (kernels/list.h has the grammar), outputs are allocated, the kernel of
// the running ISA and dtype is called without the GIL. Every check comes before any memory is written.
#include <deque>

#include "bindings/call.h"
#include "bindings/errors.h"
#include "core/fpenv.h"
#include "cpu/dispatch.h"
#include "kernels.h"

namespace py = pybind11;

namespace engine {
namespace {

// The keyword `device` says where a row without array arguments makes its outputs: -1, the CPU, or a device's number.
int device_keyword(const Row& row, PyObject* const* values, PyObject* names) {
  if (PyTuple_GET_SIZE(names) != 1 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "device"))
    fail(row, ErrorKind::type, "arguments", "no keyword but device", py::repr(names).cast<std::string>());
  const long device = PyLong_AsLong(values[0]);
  if (PyErr_Occurred()) throw py::error_already_set();
  check_device_number(row.name, int(device));
  return int(device);
}

PyObject* call_row(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const Row& row = *static_cast<const Row*>(PyCapsule_GetPointer(self, nullptr));
  try {
    if (nargs != row.inputs) fail(row, ErrorKind::type, "arguments", std::to_string(row.inputs), std::to_string(nargs));
    Call call(row, args);
    if (keywords) call.device = device_keyword(row, args + nargs, keywords);
    call.read_arguments();
    bool any_broadcast = false, any_inout = false;
    for (int i = 0; i < row.inputs; i++) {
      const ParamSpec& p = row.params[i];
      if (p.kind == Kind::inout_list) any_inout = true;
      if (!is_array(p.kind)) continue;
      any_broadcast |= p.broadcast;
      if (!call.arrays[i]) continue;
      any_inout |= p.kind == Kind::inout;
      if (!p.broadcast) call.bind_shape(i);
    }
    if (any_broadcast) call.bind_broadcast();
    const int n = int(row.params.size());
    for (int i = 0; i < row.inputs; i++)
      if (is_list(row.params[i].kind))
        call.lay_out_list(i);
      else if (is_array(row.params[i].kind) && (call.arrays[i] || call.has_number >> i & 1))
        call.lay_out(i);
    if (any_inout) call.separate_overlaps();
    for (int i = row.inputs; i < n; i++) call.make_output(i);
    if (!call.is_vast_and_empty()) {
      const bool on_cpu = call.device == kCpu;
      ReleaseGil release(!row.all_broadcast || !on_cpu || call.broadcast_size() > kQuick);
      FlushDenormals flush;
      if (!on_cpu) backend().enter(call.device);
      const Kernels* table = on_cpu ? active_isa().kernels : call.table;
      row.call(reinterpret_cast<const char*>(table) + row.slot, call.dtype, call.values);
    }
    if (call.narrow >= 0) call.write_back();
    for (int i = 0; any_inout && i < row.inputs; i++) {
      if (row.params[i].kind == Kind::inout)
        call.arrays[i]->storage->version++;
      else if (row.params[i].kind == Kind::inout_list)
        for (const Array* a : call.lists[i].arrays) a->storage->version++;
    }
    const int outs = n - row.inputs;
    if (outs == 0) Py_RETURN_NONE;
    if (outs == 1) return array_out(std::move(call.made[n - 1]));
    py::tuple result(outs);
    for (int i = 0; i < outs; i++) PyTuple_SET_ITEM(result.ptr(), i, array_out(std::move(call.made[row.inputs + i])));
    return result.release().ptr();
  } catch (const Error& error) { set_python_error(error); } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    set_python_error(Error(ErrorKind::memory, row.name, "arguments", "memory for the call", "none"));
  } catch (const std::exception& error) { PyErr_SetString(PyExc_RuntimeError, error.what()); }
  return nullptr;
}

std::deque<Row>& rows() {
  static auto* list = new std::deque<Row>;
  return *list;
}

} // namespace

const size_t kKernelsSize = sizeof(Kernels);

void copy_elements(const Kernels& kernels, InOut dst, In src) { kernels.copy.by_dtype[int(dst.dtype())](dst, src); }

void bind_kernels(py::module_& m) {
  py::module_ kernels = m.def_submodule("kernels", "A callable for each row of csrc/kernels.");
#define KERNEL(name_, group, params_, signature_, contract_)                                                 \
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
#include "kernels/list.h"
  py::list names;
  for (Row& row : rows()) {
    row.def = {row.name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_row)),
               METH_FASTCALL | METH_KEYWORDS, row.doc.c_str()};
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
