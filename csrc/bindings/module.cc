// The extension module engine._core.
#include "bindings/bindings.h"
#include "bindings/errors.h"

namespace py = pybind11;

ENGINE_MODULE(_core, m) {
  m.doc() = "Arrays and kernels of engine; use the names of the package `engine` instead.";
  engine::register_errors();
  engine::bind_array(m);
  engine::bind_kernels(m);
  engine::bind_runtime(m);
}
