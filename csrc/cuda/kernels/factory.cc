// Arrays made from numbers alone: launches.
#include "cuda/device/walk.cuh"
#include "cuda/launch.h"

namespace engine::cuda {

template <class T>
void arange(int64_t n, double start, double step, int64_t start_int, int64_t step_int, int64_t, Out y) {
  static const Kernel kernel("factory", named<T>("arange"));
  launch(kernel, {busy_blocks(n, kThreads)}, {kThreads}, 0, y.data<T>(), n, start, step, start_int, step_int);
}

template <class T>
void linspace(int64_t n, double start, double end, int64_t, Out y) {
  static const Kernel kernel("factory", named<T>("linspace"));
  const double step = n > 1 ? (end - start) / double(n - 1) : 0;
  launch(kernel, {busy_blocks(n, kThreads)}, {kThreads}, 0, y.data<T>(), n, start, end, step);
}

template <class T>
void triangle(In input, int64_t diagonal, bool upper, Out y) {
  static const Kernel kernel("factory", "triangle_" + std::to_string(sizeof(T)));
  if (input.numel() == 0) return;
  const int64_t m = input.size(-2), n = input.size(-1), matrices = input.rows() / m, most = int64_t(1) << 62;
  diagonal = diagonal < -most ? -most : diagonal > most ? most : diagonal; // rows may be added to it
  const unsigned rows = busy_blocks(m, kThreads / 32);
  launch(kernel, {rows, unsigned(matrices < 65535 ? matrices : 65535)}, {kThreads}, 0, input.data<T>(), y.data<T>(),
         matrices, m, n, diagonal, int(upper));
}

template <class T>
void one_hot(In input, int64_t num_classes, Out y) {
  static const Kernel kernel("factory", "one_hot");
  static const int site = fault_site("one_hot", "input", Wrong::index);
  const int64_t n = input.numel();
  launch(kernel, {busy_blocks(n * num_classes, kThreads)}, {kThreads}, 0, input.data<int64_t>(), y.data<int64_t>(), n,
         num_classes, faults(), site);
}

} // namespace engine::cuda

#define FAMILY factory
#include "cuda/instances.h"
