// What every extension module agrees with Python's interpreter: who may load it, and how it lets go of the GIL.
#pragma once
#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

// PYBIND11_MODULE for the main interpreter alone: the arena, the settings and the dtypes are the process's. In a
// subinterpreter pybind11 would wait for ever for a lock that its own thread holds (before Python 3.12), or let the
// module in. It is refused here, before pybind11 is asked. Without py::mod_gil_not_used() the module says that it needs
// the GIL, which a free-threaded Python then switches on.
#define ENGINE_MODULE(name, m)                                                                               \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name##_by_pybind11();                                        \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                                                     \
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) return PyInit_##name##_by_pybind11();         \
    PyErr_SetString(PyExc_ImportError,                                                                       \
                    "[import engine] interpreter: expected Python's main interpreter, got a subinterpreter " \
                    "(use threads or processes)");                                                           \
    return nullptr;                                                                                          \
  }                                                                                                          \
  PYBIND11_MODULE(name##_by_pybind11, m, pybind11::multiple_interpreters::not_supported())

namespace engine {

class ReleaseGil {
 public:
  explicit ReleaseGil(bool release = true) : state_(release ? PyEval_SaveThread() : nullptr) {}
  ReleaseGil(const ReleaseGil&) = delete;
  // Python before 3.14 ends a daemon thread that comes back while the interpreter shuts down: it unwinds the thread's
  // stack, where destructors would touch Python without the GIL. Such a thread waits here for the end of the process.
  ~ReleaseGil() {
    if (!state_) return;
    try {
      PyEval_RestoreThread(state_);
    } catch (abi::__forced_unwind&) {
      for (;;) pause();
    }
  }

 private:
  PyThreadState* state_;
};

} // namespace engine
