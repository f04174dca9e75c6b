// Elementwise kernels as plain loops over contiguous memory, and the one walk that brings broadcast and strided
// operands into that form. An op is a struct with a static function of elements; the compiler vectorises the loop
// around it.
#pragma once
#include "cpu/groups.h"
#include "cpu/simd.h"
#include "cpu/strided.h"

namespace engine::ENGINE_ISA {

// y[i] = f(x[0][i], x[1][i], ...) for i < n, all contiguous. y may be one of the x.
using Loop = void (*)(int64_t n, void* y, void* const* x);

// Operands whose elements are not contiguous pass through a buffer of this many elements in the first-level cache.
constexpr int64_t kBlock = 256;

template <class T>
inline void gather_items(char* to, const char* from, int64_t step, int64_t n) {
  T* t = reinterpret_cast<T*>(to);
  const T* f = reinterpret_cast<const T*>(from);
  if (step == 0) {
    const T value = *f;
    for (int64_t i = 0; i < n; i++) t[i] = value;
  } else {
    for (int64_t i = 0; i < n; i++) t[i] = f[i * step];
  }
}
template <class T>
inline void scatter_items(char* to, const char* from, int64_t step, int64_t n) {
  T* t = reinterpret_cast<T*>(to);
  const T* f = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < n; i++) t[i * step] = f[i];
}
// Elements are moved as integers of their size.
inline void gather(char* to, const char* from, int64_t item, int64_t step, int64_t n) {
  if (item == 1)
    gather_items<uint8_t>(to, from, step, n);
  else if (item == 2)
    gather_items<uint16_t>(to, from, step, n);
  else if (item == 4)
    gather_items<uint32_t>(to, from, step, n);
  else
    gather_items<uint64_t>(to, from, step, n);
}
inline void scatter(char* to, const char* from, int64_t item, int64_t step, int64_t n) {
  if (item == 1)
    scatter_items<uint8_t>(to, from, step, n);
  else if (item == 2)
    scatter_items<uint16_t>(to, from, step, n);
  else if (item == 4)
    scatter_items<uint32_t>(to, from, step, n);
  else
    scatter_items<uint64_t>(to, from, step, n);
}

// views[0] = loop(views[1], ...). All views have one shape (the binding has broadcast them).
template <int N>
static void map(const View* const (&views)[N], Loop loop) {
  char* data[N];
  int64_t item[N];
  for (int v = 0; v < N; v++) {
    data[v] = static_cast<char*>(views[v]->data);
    item[v] = item_size(views[v]->dtype);
  }
  for_each_row<N>(views, [&](const int64_t* at, const int64_t* step, int64_t n) {
    char* p[N];
    bool dense = true;
    for (int v = 0; v < N; v++) {
      p[v] = data[v] + at[v] * item[v];
      dense &= step[v] == 1;
    }
    if (dense || n == 1) return loop(n, p[0], reinterpret_cast<void* const*>(p + 1));
    alignas(64) char buffer[N][kBlock * 8];
    void* x[N];
    for (int64_t i = 0; i < n; i += kBlock) {
      const int64_t m = n - i < kBlock ? n - i : kBlock;
      for (int v = 0; v < N; v++) {
        char* from = p[v] + i * step[v] * item[v];
        x[v] = step[v] == 1 ? from : buffer[v];
        // A repeated element fills its buffer once.
        if (v > 0 && (step[v] > 1 || (step[v] == 0 && i == 0))) gather(buffer[v], from, item[v], step[v], m);
      }
      loop(m, x[0], x + 1);
      if (step[0] != 1) scatter(p[0] + i * step[0] * item[0], buffer[0], item[0], step[0], m);
    }
  });
}

// The loops of an op F with one, two or three operands.
template <class F, class R, class A>
static void loop1(int64_t n, void* out, void* const* x) {
  R* y = static_cast<R*>(out);
  const A* a = static_cast<const A*>(x[0]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = F::of(a[i]);
}
template <class F, class R, class A, class B>
static void loop2(int64_t n, void* out, void* const* x) {
  R* y = static_cast<R*>(out);
  const A* a = static_cast<const A*>(x[0]);
  const B* b = static_cast<const B*>(x[1]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = F::of(a[i], b[i]);
}
template <class F, class R, class A, class B, class C>
static void loop3(int64_t n, void* out, void* const* x) {
  R* y = static_cast<R*>(out);
  const A* a = static_cast<const A*>(x[0]);
  const B* b = static_cast<const B*>(x[1]);
  const C* c = static_cast<const C*>(x[2]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) y[i] = F::of(a[i], b[i], c[i]);
}

template <class F, class R, class A>
static void map1(Param y, Param a) {
  const View* views[2] = {y.v, a.v};
  map<2>(views, loop1<F, R, A>);
}
template <class F, class R, class A, class B = A>
static void map2(Param y, Param a, Param b) {
  const View* views[3] = {y.v, a.v, b.v};
  map<3>(views, loop2<F, R, A, B>);
}
template <class F, class R, class A, class B = A, class C = A>
static void map3(Param y, Param a, Param b, Param c) {
  const View* views[4] = {y.v, a.v, b.v, c.v};
  map<4>(views, loop3<F, R, A, B, C>);
}

// The type to calculate in so that integers wrap around.
template <class T>
struct Wrapping {
  using type = T;
};
template <>
struct Wrapping<int32_t> {
  using type = uint32_t;
};
template <>
struct Wrapping<int64_t> {
  using type = uint64_t;
};
template <class T>
using W = typename Wrapping<T>::type;

template <class T>
constexpr bool is_float = false; // of the group FLOAT
#define ENGINE_IS_FLOAT(T) \
  template <>              \
  constexpr bool is_float<T> = true;
FOR_FLOAT(ENGINE_IS_FLOAT)

} // namespace engine::ENGINE_ISA
