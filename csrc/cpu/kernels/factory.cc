// Arrays made from numbers alone: ranges, triangles, one-hot rows.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/convert.h"
#include "cpu/parallel.h"

namespace engine::ENGINE_ISA {

template <class T>
constexpr bool kIntegral = T(0.5) == T(0);

// Integers are counted in int64, so that they stay exact beyond 2^53; the others in double, rounded once.
template <class T>
void arange(int64_t n, double start, double step, int64_t start_int, int64_t step_int, int64_t dtype, Out out) {
  (void)dtype;
  T* to = out.data<T>();
  parallel_ranges(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      if constexpr (kIntegral<T>)
        to[i] = T(start_int + i * step_int);
      else
        to[i] = T(start + double(i) * step);
    }
  });
}

// Each half is counted from its own end, so that both ends are met exactly.
template <class T>
void linspace(int64_t n, double start, double end, int64_t dtype, Out out) {
  (void)dtype;
  T* to = out.data<T>();
  const double step = n > 1 ? (end - start) / double(n - 1) : 0;
  parallel_ranges(n, kGrain, [&](int64_t begin, int64_t stop) {
    for (int64_t i = begin; i < stop; i++)
      to[i] = T(i < (n + 1) / 2 ? start + double(i) * step : end - double(n - 1 - i) * step);
  });
}

// Keeps the elements on and below the diagonal (upper: on and above it); the others become 0. It is its own gradient.
template <class T>
void triangle(In input, int64_t diagonal, bool upper, Out y) {
  const int64_t m = input.size(-2), n = input.size(-1), rows = input.rows();
  const T* from = input.data<T>();
  T* to = y.data<T>();
  parallel_ranges(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T* x = from + r * n;
      T* out = to + r * n;
      int64_t cut = r % m + diagonal + (upper ? 0 : 1); // columns before it are kept (lower) or zeroed (upper)
      cut = cut < 0 ? 0 : cut > n ? n : cut;
      for (int64_t c = 0; c < cut; c++) out[c] = upper ? T{} : x[c];
      for (int64_t c = cut; c < n; c++) out[c] = upper ? x[c] : T{};
    }
  });
}

template <class T>
void one_hot(In input, int64_t num_classes, Out y) {
  const int64_t n = input.numel();
  const int64_t* ids = input.data<int64_t>();
  check_indices("one_hot", "input", ids, n, num_classes);
  int64_t* to = y.data<int64_t>();
  parallel_ranges(n, row_grain(num_classes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      for (int64_t c = 0; c < num_classes; c++) to[i * num_classes + c] = ids[i] == c;
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY factory
#include "cpu/instances.h"
