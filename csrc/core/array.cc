#include "core/array.h"

#include <string.h>

#include <string>
#include <utility>

#include "core/errors.h"

namespace engine {

Storage::~Storage() {
  if (release)
    release();
  else if (data)
    deallocate_on(device, data, bytes);
}

std::shared_ptr<Storage> Storage::foreign(void* data, size_t bytes, int device, std::function<void()> release) {
  auto storage = std::make_shared<Storage>();
  storage->release = std::move(release);
  storage->data = data;
  storage->bytes = bytes;
  storage->device = device;
  return storage;
}

std::string shape_text(const int64_t* shape, int ndim) {
  std::string text = "(";
  for (int i = 0; i < ndim; i++) text += std::to_string(shape[i]) + (ndim == 1 ? "," : i + 1 < ndim ? ", " : "");
  return text + ")";
}

static std::string shape_text(const Shape& s) { return shape_text(s.data(), int(s.size())); }

[[noreturn]] static void fail(ErrorKind kind, const std::string& op, const std::string& arg,
                              const std::string& expected, const std::string& got, const char* hint = "") {
  throw Error(kind, op, arg, expected, got, hint);
}

static int normal_dim(const char* op, int64_t dim, int ndim) {
  int limit = ndim ? ndim : 1;
  if (dim < -limit || dim >= limit)
    fail(ErrorKind::index, op, "dim", "a number in [" + std::to_string(-limit) + ", " + std::to_string(limit - 1) + "]",
         std::to_string(dim));
  return int(dim < 0 ? dim + limit : dim);
}

// Raises where the sizes' product, or a zero-sized array's product of the other sizes, is beyond what indices can
// count.
static void check_countable(const char* op, ErrorKind kind, const int64_t* shape, int ndim) {
  int64_t n = 1;
  for (int i = 0; i < ndim; i++)
    if (__builtin_mul_overflow(n, shape[i] ? shape[i] : 1, &n) || n > INT64_MAX / 16)
      fail(kind, op, "shape", kind == ErrorKind::memory ? "an array that fits in memory" : "at most 2^59 elements",
           engine::shape_text(shape, ndim));
}

Array Array::empty(const int64_t* shape, int ndim, DType dtype, int device) {
  if (ndim > kMaxDims) fail(ErrorKind::value, "empty", "shape", "at most 8 dimensions", std::to_string(ndim));
  if (device != kCpu && (dtype == DType::f64 || dtype == DType::i8 || dtype == DType::i16)) {
    char name[16];
    const std::string t = dtype_name(dtype);
    fail(ErrorKind::type, "empty", "dtype", "one that " + std::string(device_text(device, name)) + " computes in", t,
         (t + " stays on the CPU").c_str());
  }
  Array a;
  a.dtype = dtype;
  a.ndim = ndim;
  int64_t n = 1;
  for (int i = ndim - 1; i >= 0; i--) {
    if (shape[i] < 0) fail(ErrorKind::value, "empty", "shape", "no negative size", engine::shape_text(shape, ndim));
    a.shape[i] = shape[i];
  }
  check_countable("empty", ErrorKind::memory, shape, ndim);
  for (int i = ndim - 1; i >= 0; i--) {
    a.strides[i] = n;
    n *= shape[i] ? shape[i] : 1;
  }
  a.storage = std::make_shared<Storage>();
  size_t bytes = size_t(a.numel() * item_size(dtype));
  a.storage->device = device;
  a.storage->data = allocate_on(device, bytes);
  a.storage->bytes = bytes;
  return a;
}

int64_t Array::numel() const {
  int64_t n = 1;
  for (int i = 0; i < ndim; i++) n *= shape[i];
  return n;
}

bool Array::overlaps_itself() const {
  int64_t order[kMaxDims];
  int count = 0;
  for (int i = 0; i < ndim; i++) {
    if (shape[i] == 0) return false;
    if (shape[i] == 1) continue;
    int at = count++;
    for (; at > 0 && strides[order[at - 1]] > strides[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  int64_t reach = 0; // of the dimensions inside
  for (int i = 0; i < count; i++) {
    if (strides[order[i]] <= reach) return true;
    reach += (shape[order[i]] - 1) * strides[order[i]];
  }
  return false;
}

bool Array::is_contiguous() const {
  int64_t n = 1;
  bool dense = true;
  for (int i = ndim - 1; i >= 0; i--) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != n) dense = false;
    n *= shape[i];
  }
  return dense;
}

void Array::fill_view(View& v) const {
  v.data = data();
  v.dtype = dtype;
  v.ndim = ndim;
  v.device = storage->device;
  memcpy(v.shape, shape, sizeof shape);
  memcpy(v.strides, strides, sizeof strides);
}

View Array::view() const {
  View v;
  fill_view(v);
  return v;
}

Array Array::as_strided(const Shape& new_shape, const Shape& new_strides, int64_t new_offset) const {
  if (new_shape.size() != new_strides.size() || new_shape.size() > kMaxDims)
    fail(ErrorKind::value, "as_strided", "strides", "as many numbers as sizes, at most 8", shape_text(new_strides));
  Array a = *this;
  a.ndim = int(new_shape.size());
  a.offset = new_offset;
  int64_t last = new_offset, n = 1;
  bool overflow = false;
  for (int i = 0; i < a.ndim; i++) {
    if (new_shape[i] < 0 || new_strides[i] < 0)
      fail(ErrorKind::value, "as_strided", "shape and strides", "numbers >= 0", shape_text(new_shape));
    a.shape[i] = new_shape[i];
    a.strides[i] = new_strides[i];
  }
  check_countable("as_strided", ErrorKind::value, a.shape, a.ndim);
  for (int i = 0; i < a.ndim; i++) {
    int64_t reach;
    overflow |=
        __builtin_mul_overflow(new_shape[i] - 1, new_strides[i], &reach) || __builtin_add_overflow(last, reach, &last);
    n *= new_shape[i];
  }
  if (n && (overflow || new_offset < 0 || last >= int64_t(storage->bytes) / item_size(dtype)))
    fail(ErrorKind::value, "as_strided", "shape, strides, offset", "a view within the storage", shape_text(new_shape));
  return a;
}

// A view exists where every run of old dimensions that a new one spans is evenly strided (as in NumPy's and PyTorch's
// view).
static bool view_strides(const Array& a, const Shape& shape, int64_t* strides) {
  if (a.numel() == 0) {
    int64_t n = 1;
    for (int i = int(shape.size()) - 1; i >= 0; i--) {
      strides[i] = n;
      n *= shape[i] ? shape[i] : 1;
    }
    return true;
  }
  int old_dim = a.ndim - 1;
  int64_t chunk = 1, run = 1; // elements of the current evenly strided run of old dims; of the new dims placed on it
  int64_t base = a.ndim ? a.strides[a.ndim - 1] : 1;
  int new_dim = int(shape.size()) - 1;
  for (; old_dim >= 0; old_dim--) {
    chunk *= a.shape[old_dim];
    bool ends = old_dim == 0 || (a.shape[old_dim - 1] != 1 && a.strides[old_dim - 1] != chunk * base);
    if (!ends) continue;
    while (new_dim >= 0 && (run < chunk || shape[new_dim] == 1)) {
      strides[new_dim] = run * base;
      run *= shape[new_dim--];
    }
    if (run != chunk) return false;
    if (old_dim > 0) {
      base = a.strides[old_dim - 1];
      chunk = run = 1;
    }
  }
  for (; new_dim >= 0; new_dim--) strides[new_dim] = run * base; // only sizes of 1 are left
  return true;
}

static Shape resolve(const Array& a, const Shape& shape) {
  Shape s = shape;
  if (s.size() > kMaxDims) fail(ErrorKind::value, "reshape", "shape", "at most 8 dimensions", shape_text(shape));
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] == -1 && unknown < 0)
      unknown = int64_t(i);
    else if (s[i] < 0 || __builtin_mul_overflow(known, s[i], &known))
      fail(ErrorKind::value, "reshape", "shape", "sizes >= 0 with at most one -1", shape_text(shape));
  }
  int64_t n = a.numel();
  if (unknown >= 0 && known && n % known == 0) {
    s[unknown] = n / known;
    known = n;
  } else if (unknown >= 0)
    known = -1;
  if (known != n)
    fail(ErrorKind::value, "reshape", "shape",
         "a shape of " + std::to_string(n) + " elements, as in " + engine::shape_text(a.shape, a.ndim),
         shape_text(shape));
  return s;
}

bool Array::can_reshape(const Shape& new_shape) const {
  int64_t st[kMaxDims];
  return view_strides(*this, resolve(*this, new_shape), st);
}

Array Array::view_as(DType t) const {
  Array a = *this;
  a.dtype = t;
  const int64_t from = item_size(dtype), to = item_size(t);
  if (from == to) return a;
  const int last = ndim - 1;
  if (last < 0) fail(ErrorKind::value, "view", "dtype", "one of the same size for 0 dimensions", dtype_name(t));
  if (shape[last] > 1 && strides[last] != 1)
    fail(ErrorKind::value, "view", "self", "a last dimension of stride 1, to change the size of elements",
         std::to_string(strides[last]));
  auto scale = [&](int64_t n, const char* what) {
    if (n * from % to)
      fail(ErrorKind::value, "view", "self", std::string(what) + " that fills whole elements of " + dtype_name(t),
           std::to_string(n));
    return n * from / to;
  };
  a.offset = scale(offset, "an offset");
  for (int i = 0; i < last; i++)
    if (shape[i] > 1) a.strides[i] = scale(strides[i], "a stride");
  a.shape[last] = scale(shape[last], "a last dimension");
  a.strides[last] = 1;
  check_countable("view", ErrorKind::value, a.shape, a.ndim);
  return a;
}

Array Array::reshape_view(const Shape& new_shape) const {
  Shape s = resolve(*this, new_shape);
  Array a = *this;
  if (!view_strides(*this, s, a.strides))
    fail(ErrorKind::value, "view", "shape", "one that the strides of the array allow", shape_text(new_shape),
         "use reshape");
  a.ndim = int(s.size());
  for (int i = 0; i < a.ndim; i++) a.shape[i] = s[i];
  return a;
}

Array Array::permute(const std::vector<int64_t>& dims) const {
  Array a = *this;
  bool seen[kMaxDims] = {};
  bool ok = int(dims.size()) == ndim;
  for (int i = 0; ok && i < ndim; i++) {
    int d = normal_dim("permute", dims[i], ndim);
    ok = !seen[d];
    seen[d] = true;
    a.shape[i] = shape[d];
    a.strides[i] = strides[d];
  }
  if (!ok)
    fail(ErrorKind::value, "permute", "dims", "each of " + std::to_string(ndim) + " dimensions once", shape_text(dims));
  return a;
}

Array Array::transpose(int64_t x, int64_t y) const {
  int i = normal_dim("transpose", x, ndim), j = normal_dim("transpose", y, ndim);
  Array a = *this;
  std::swap(a.shape[i], a.shape[j]);
  std::swap(a.strides[i], a.strides[j]);
  return a;
}

Array Array::expand(const Shape& new_shape) const {
  int n = int(new_shape.size());
  if (n < ndim || n > kMaxDims)
    fail(ErrorKind::value, "expand", "shape", "at least " + std::to_string(ndim) + " and at most 8 dimensions",
         shape_text(new_shape));
  Array a = *this;
  a.ndim = n;
  for (int i = n - 1; i >= 0; i--) {
    int old = i - (n - ndim);
    int64_t want = new_shape[i];
    if (old >= 0 && (want == -1 || want == shape[old])) {
      a.shape[i] = shape[old];
      a.strides[i] = strides[old];
    } else if (want >= 0 && (old < 0 || shape[old] == 1)) {
      a.shape[i] = want;
      a.strides[i] = 0;
    } else {
      fail(ErrorKind::value, "expand", "shape",
           "sizes that " + engine::shape_text(shape, ndim) + " can be broadcast to", shape_text(new_shape));
    }
  }
  check_countable("expand", ErrorKind::value, a.shape, n);
  return a;
}

Array Array::slice(int64_t dim, int64_t start, int64_t stop, int64_t step) const {
  int d = normal_dim("slice", dim, ndim);
  if (!ndim) fail(ErrorKind::index, "slice", "input", "at least one dimension", "a 0-dim tensor");
  if (step <= 0) fail(ErrorKind::value, "slice", "step", "a number > 0", std::to_string(step));
  int64_t n = shape[d];
  auto clip = [n](int64_t i) {
    if (i < 0) i += n;
    return i < 0 ? 0 : i > n ? n : i;
  };
  start = clip(start);
  stop = clip(stop);
  Array a = *this;
  a.shape[d] = stop > start ? (stop - start - 1) / step + 1 : 0;
  a.strides[d] = strides[d] * step;
  if (a.shape[d]) a.offset += start * strides[d];
  return a;
}

Array Array::select(int64_t dim, int64_t index) const {
  int d = normal_dim("select", dim, ndim);
  if (!ndim) fail(ErrorKind::index, "select", "input", "at least one dimension", "a 0-dim tensor");
  if (index < -shape[d] || index >= shape[d])
    fail(ErrorKind::index, "select", "index",
         "a number in [" + std::to_string(-shape[d]) + ", " + std::to_string(shape[d]) + ")", std::to_string(index));
  Array a = *this;
  a.offset += (index < 0 ? index + shape[d] : index) * strides[d];
  for (int i = d; i + 1 < ndim; i++) {
    a.shape[i] = shape[i + 1];
    a.strides[i] = strides[i + 1];
  }
  a.ndim--;
  return a;
}

Array Array::squeeze(int64_t dim) const {
  int d = normal_dim("squeeze", dim, ndim);
  return ndim && shape[d] == 1 ? select(d, 0) : *this;
}

Array Array::unsqueeze(int64_t dim) const {
  int d = normal_dim("unsqueeze", dim, ndim + 1);
  if (ndim == kMaxDims) fail(ErrorKind::value, "unsqueeze", "input", "at most 7 dimensions", "8");
  Array a = *this;
  for (int i = ndim; i > d; i--) {
    a.shape[i] = shape[i - 1];
    a.strides[i] = strides[i - 1];
  }
  a.shape[d] = 1;
  a.strides[d] = d < ndim ? shape[d] * strides[d] : 1;
  a.ndim++;
  return a;
}

} // namespace engine
