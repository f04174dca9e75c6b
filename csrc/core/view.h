// What a kernel sees of an array: plain memory, shape and strides. No C++ library, so that kernel files can include it.
#pragma once
#include <stdint.h>

#include "core/dtype.h"

namespace engine {

constexpr int kMaxDims = 8;

struct View {
  void* data;
  DType dtype;
  int32_t ndim;
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims]; // in elements
  int32_t device;            // kCpu (-1): `data` may be read by the host
};

// The kinds of kernel parameters. The binding has checked dtype, shape and layout by the row's signature
// (kernels/list.h).
struct Param {
  const View* v;
  int ndim() const { return v->ndim; }
  DType dtype() const { return v->dtype; }
  // Sizes and strides count from the front, negative numbers from the back.
  int64_t size(int i) const { return v->shape[i < 0 ? i + v->ndim : i]; }
  int64_t stride(int i) const { return v->strides[i < 0 ? i + v->ndim : i]; }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < v->ndim; i++) n *= v->shape[i];
    return n;
  }
  int64_t rows() const { // all dimensions but the last, multiplied
    int64_t n = 1;
    for (int i = 0; i + 1 < v->ndim; i++) n *= v->shape[i];
    return n;
  }
};
struct In : Param {
  template <class T>
  const T* data() const {
    return static_cast<const T*>(v->data);
  }
};
struct Opt : Param { // an In that may be None: false then
  explicit operator bool() const { return v != nullptr; }
  template <class T>
  const T* data() const {
    return v ? static_cast<const T*>(v->data) : nullptr;
  }
};
struct Out : Param { // allocated by the binding, contents undefined
  template <class T>
  T* data() const {
    return static_cast<T*>(v->data);
  }
};
struct InOut : Param { // the caller's array, read and written in place
  template <class T>
  T* data() const {
    return static_cast<T*>(v->data);
  }
};

// A Python sequence of arrays, each with its own shape.
struct List {
  const View* views;
  int64_t count;
  const View& operator[](int64_t i) const { return views[i]; }
};
struct InList : List {
  template <class T>
  const T* data(int64_t i) const {
    return static_cast<const T*>(views[i].data);
  }
};
struct InOutList : List {
  template <class T>
  T* data(int64_t i) const {
    return static_cast<T*>(views[i].data);
  }
};
inline int64_t numel(const View& v) {
  int64_t n = 1;
  for (int i = 0; i < v.ndim; i++) n *= v.shape[i];
  return n;
}

} // namespace engine
