// Where the arguments of a call lie: shapes bound and broadcast, views, outputs allocated, overlaps separated.
#include "bindings/call.h"

#include <algorithm>

namespace engine {

namespace {

// One element of each of those that share memory, so that no element is converted twice, or written twice.
Array without_repeats(Array a) {
  for (int d = 0; d < a.ndim; d++)
    if (a.strides[d] == 0 && a.shape[d] > 1) a.shape[d] = 1;
  return a;
}

// The same elements in another dtype, repeated as they were.
Array converted(const Array& a, DType t) {
  Array out = cast_to(without_repeats(a), t);
  for (int d = 0; d < a.ndim; d++)
    if (out.shape[d] != a.shape[d]) {
      out.shape[d] = a.shape[d];
      out.strides[d] = 0;
    }
  return out;
}

} // namespace

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
  if (broadcast_dims < 0) broadcast_dims = 0;
  if (fixed >= 0) broadcast_dims = arrays[fixed]->ndim;
  for (int k = 0; k < broadcast_dims; k++) broadcast_shape[k] = 1;
  auto join = [&](int i) {
    const Array& a = *arrays[i];
    auto mismatch = [&](const char* expected) {
      fail(row, ErrorKind::value, row.params[i].name, expected + shape_text(broadcast_shape, broadcast_dims),
           shape_text(a.shape, a.ndim));
    };
    if (a.ndim > broadcast_dims) mismatch("a shape that broadcasts to ");
    for (int k = 0; k < a.ndim; k++) {
      int64_t& size = broadcast_shape[broadcast_dims - a.ndim + k];
      if (a.shape[k] == size || a.shape[k] == 1) continue;
      if (fixed >= 0 && i != fixed) mismatch("a shape that broadcasts to ");
      if (size != 1) mismatch("a shape that broadcasts with ");
      size = a.shape[k];
    }
  };
  if (fixed >= 0) join(fixed);
  for (int i = 0; i < row.inputs; i++)
    if (row.params[i].broadcast && arrays[i] && i != fixed) join(i);
}

void Call::lay_out(int i) {
  const ParamSpec& p = row.params[i];
  if (has_number >> i & 1) {
    View& v = views[i];
    v.data = numbers[i].element;
    v.device = kCpu;
    v.dtype = DType(dtype);
    v.ndim = broadcast_dims;
    for (int k = 0; k < broadcast_dims; k++) {
      v.shape[k] = broadcast_shape[k];
      v.strides[k] = 0;
    }
    values[i].view = &v;
    return;
  }
  const Array* a = arrays[i];
  if (p.kind == Kind::inout && a->storage->readonly)
    fail(row, ErrorKind::value, p.name, "an array that may be written", "memory that its owner marked read-only");
  if (is_narrow(*a) && !p.fixed_dtype) {
    made.set(i, converted(*a, DType(dtype)));
    a = &made[i];
  }
  if (p.broadcast) {
    View& v = views[i];
    v.data = a->data();
    v.device = a->device();
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
      made.set(i, cast_to(*a, a->dtype));
      a = &made[i];
    }
    a->fill_view(views[i]);
  }
  values[i].view = &views[i];
}

void Call::lay_out_list(int i) {
  const ParamSpec& p = row.params[i];
  ListOfArrays& list = lists[i];
  list.views.resize(list.arrays.size());
  for (size_t k = 0; k < list.arrays.size(); k++) {
    const Array* a = list.arrays[k];
    const bool writes = p.kind == Kind::inout_list;
    if (writes && (a->storage->readonly || !a->is_contiguous()))
      fail(row, ErrorKind::value, p.name + "[" + std::to_string(k) + "]", "a contiguous array that may be written",
           a->storage->readonly ? "read-only memory" : "a strided view");
    if (is_narrow(*a) || !a->is_contiguous()) {
      list.made.push_back(cast_to(*a, is_narrow(*a) ? DType(dtype) : a->dtype));
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
    else if (d.what == Dim::reduced) {
      const bool keepdim = row.keepdim >= 0 && sizes[row.keepdim];
      for (int k = 0; k < star_dims; k++)
        if (!(sizes[d.name] >> k & 1))
          push(star->shape[k]);
        else if (keepdim)
          push(1);
    } else
      for (int k = 0; k < broadcast_dims; k++) push(broadcast_shape[k]);
  }
  const DType t = p.fixed_dtype ? p.dtype : p.accumulator ? accumulator() : DType(dtype);
  made.set(i, Array::empty(shape, n, t, device));
  made[i].fill_view(views[i]);
  values[i].view = &views[i];
}

bool Call::is_vast_and_empty() const {
  constexpr int64_t kVast = int64_t(1) << 32;
  bool vast = false;
  for (size_t i = row.params.size(); i-- > 0;) { // outputs come last, and are nearly never empty
    if (is_list(row.params[i].kind)) return false;
    if (!is_array(row.params[i].kind) && row.params[i].kind != Kind::out) continue;
    const View* v = values[i].view;
    if (!v) continue;
    int64_t rows = 1; // as many as memory could not hold if they had elements
    bool empty = false;
    for (int k = 0; k < v->ndim; k++) {
      empty |= v->shape[k] == 0;
      if (v->shape[k] > 1) rows = rows > kVast / v->shape[k] ? kVast : rows * v->shape[k];
    }
    if (!empty && row.params[i].kind >= Kind::inout) return false;
    vast |= empty && rows >= kVast;
  }
  return vast;
}

// Results of a kernel that ran in another dtype than T: rounded once, at the end.
void Call::write_back() {
  for (size_t i = 0; i < row.params.size(); i++) {
    const ParamSpec& p = row.params[i];
    if (p.kind == Kind::inout && made.has(int(i)))
      copy_on_device(without_repeats(*arrays[i]), without_repeats(made[int(i)]));
    else if (p.kind == Kind::inout_list)
      for (size_t k = 0; k < lists[i].made.size(); k++) copy_on_device(*lists[i].arrays[k], lists[i].made[k]);
    else if (p.kind == Kind::out && !p.fixed_dtype && !p.accumulator)
      made.set(int(i), cast_to(made[int(i)], DType(narrow)));
  }
}

// Where memory that is written is also read through another argument, that argument is copied first, unless it is the
// very same view. Two arguments that are both written must not share memory.
void Call::separate_overlaps() {
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
  for (int i = 0; i < row.inputs; i++) {
    if (row.params[i].kind != Kind::inout) continue;
    const View& a = views[i];
    const char *a0, *a1, *b0, *b1;
    span(a, a0, a1);
    for (int k = 0; k < row.inputs; k++) {
      const ParamSpec& p = row.params[k];
      if (k == i || !is_array(p.kind) || !values[k].view || made.has(k) || has_number >> k & 1) continue;
      const View& b = views[k];
      span(b, b0, b1);
      if (a0 >= b1 || b0 >= a1) continue;
      if (p.kind == Kind::inout)
        fail(row, ErrorKind::value, p.name, "memory that does not overlap with " + row.params[i].name,
             "an overlapping view");
      if (a.data == b.data && a.dtype == b.dtype && a.ndim == b.ndim &&
          !memcmp(a.shape, b.shape, sizeof(int64_t) * a.ndim) &&
          !memcmp(a.strides, b.strides, sizeof(int64_t) * a.ndim))
        continue;
      made.set(k, cast_to(*arrays[k], arrays[k]->dtype));
      arrays[k] = &made[k];
      lay_out(k);
    }
  }
}

} // namespace engine
