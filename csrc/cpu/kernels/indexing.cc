// Reading and writing by index. Indexed dimensions lie together as n in (o, n, i), with o before and i behind them; an
// index array of m entries turns n into m. Indices are checked before anything is written. Where an index occurs more
// than once, the last write wins and gradients are summed in a fixed order, whatever the number of threads.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/convert.h"
#include "cpu/elementwise.h"
#include "cpu/segments.h"
#include "cpu/strided.h"

namespace engine::ENGINE_ISA {

// ---------------------------------------------------------------- indices

// One more index array joins: out = previous * size + index, a negative index counting from the end.
template <class T>
void wrap_index(Opt previous, In index, int64_t size, int64_t dim, Out out) {
  int64_t* to = out.data<int64_t>();
  const int64_t *from = index.data<int64_t>(), *before = previous.data<int64_t>();
  const View* views[3] = {out.v, index.v, before ? previous.v : index.v};
  for_each_row<3>(views, [&](const int64_t* at, const int64_t* step, int64_t n) {
    int64_t* y = to + at[0];
    const int64_t *x = from + at[1], *b = before ? before + at[2] : nullptr;
    for (int64_t i = 0; i < n; i++) {
      const int64_t k = x[i * step[1]];
      if (k < -size || k >= size)
        raise_index(
            "index", "index",
            Text("every index in [%lld, %lld) along dimension %lld", (long long)-size, (long long)size, (long long)dim),
            Text("%lld", (long long)k));
      y[i * step[0]] = (b ? b[i * step[2]] * size : 0) + (k < 0 ? k + size : k);
    }
  });
}

template <class T>
static ENGINE_INLINE
bool is_set(T x) { return x != T(0); }
static ENGINE_INLINE
bool is_set(BFloat16 x) { return (x.bits & 0x7fff) != 0; }
static ENGINE_INLINE
bool is_set(Float16 x) { return (x.bits & 0x7fff) != 0; }

constexpr int64_t kRun = kGrain; // elements whose count is taken together

template <class T>
static int64_t count_run(const T* x, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += is_set(x[i]);
  return count;
}

// Where each run's elements go: at[r] = how many are set in the runs before r; at[runs] = how many in all.
template <class T>
static int64_t* count_runs(const T* x, int64_t n) {
  const int64_t runs = (n + kRun - 1) / kRun;
  int64_t* at = static_cast<int64_t*>(thread_scratch(0, size_t(runs + 1) * 8));
  parallel_for(runs,
               [&](int64_t r) { at[r + 1] = count_run(x + r * kRun, n - r * kRun < kRun ? n - r * kRun : kRun); });
  at[0] = 0;
  for (int64_t r = 0; r < runs; r++) at[r + 1] += at[r];
  return at;
}

template <class T>
void count_nonzero(In input, Out count) {
  const int64_t n = input.numel();
  *count.data<int64_t>() = count_runs(input.data<T>(), n)[(n + kRun - 1) / kRun];
}

// fn(k, i): the k-th element that is set is element i.
template <class T, class Fn>
static void for_each_set(const char* op, const T* x, int64_t n, int64_t count, const Fn& fn) {
  const int64_t* at = count_runs(x, n);
  const int64_t runs = (n + kRun - 1) / kRun;
  if (at[runs] != count)
    raise_value(op, "count", Text("%lld, the number of elements that are not 0", (long long)at[runs]),
                Text("%lld", (long long)count));
  parallel_for(runs, [&](int64_t r) {
    const int64_t end = (r + 1) * kRun < n ? (r + 1) * kRun : n;
    int64_t k = at[r];
    for (int64_t i = r * kRun; i < end; i++)
      if (is_set(x[i])) fn(k++, i);
  });
}

template <class T>
void nonzero_flat(In input, int64_t count, Out index) {
  int64_t* to = index.data<int64_t>();
  for_each_set("nonzero_flat", input.data<T>(), input.numel(), count, [=](int64_t k, int64_t i) { to[k] = i; });
}

template <class T>
void nonzero(In input, int64_t count, int64_t ndim, Out index) {
  if (ndim != input.ndim())
    raise_value("nonzero", "ndim", Text("%d, the dimensions of input", input.ndim()), Text("%lld", (long long)ndim));
  int64_t* to = index.data<int64_t>();
  for_each_set("nonzero", input.data<T>(), input.numel(), count, [&](int64_t k, int64_t i) {
    for (int d = int(ndim) - 1; d >= 0; d--) {
      to[k * ndim + d] = i % input.size(d);
      i /= input.size(d);
    }
  });
}

// ---------------------------------------------------------------- rows

template <class T>
static ENGINE_INLINE
void copy_row(T* to, int64_t to_step, const T* from, int64_t from_step, int64_t n) {
  if (to_step == 1 && from_step == 1 && n > 4)
    __builtin_memcpy(to, from, size_t(n) * sizeof(T));
  else
    for (int64_t c = 0; c < n; c++) to[c * to_step] = from[c * from_step];
}

template <class T>
void index_rows(In input, In index, Out y) {
  const int64_t o = input.size(0), n = input.size(1), d = input.size(2), m = index.size(0);
  const int64_t* ids = index.data<int64_t>();
  check_indices("index", "index", ids, m, n);
  const T* from = input.data<T>();
  T* to = y.data<T>();
  const int64_t so = input.stride(0), sn = input.stride(1), sd = input.stride(2);
  parallel_ranges(o * m, row_grain(d), [&](int64_t begin, int64_t end) {
    int64_t g = begin / m, k = begin % m;
    for (int64_t r = begin; r < end; r++) {
      copy_row(to + r * d, 1, from + g * so + ids[k] * sn, sd, d);
      if (++k == m) k = 0, g++;
    }
  });
}

template <class T>
void index_rows_backward(In dy, In index, int64_t n, Out dinput) {
  const int64_t o = dy.size(0), m = dy.size(1), d = dy.size(2);
  const int64_t* ids = index.data<int64_t>();
  check_indices("index_backward", "index", ids, m, n);
  sum_segments<T>(sort_indices(ids, m, n, -1), dy.data<T>(), o, m, n, d, dinput.data<T>(), nullptr);
}

// Split over o and over columns only, so that each column is written in the order of the indices.
template <class T>
void index_put(InOut input, In index, In values) {
  const int64_t o = input.size(0), n = input.size(1), d = input.size(2), m = index.size(0);
  const int64_t* ids = index.data<int64_t>();
  check_indices("index_put", "index", ids, m, n);
  T* to = input.data<T>();
  const T* from = values.data<T>();
  constexpr int64_t kColumns = 256;
  const int64_t blocks = (d + kColumns - 1) / kColumns, work = m * (d < kColumns ? d : kColumns);
  parallel_ranges(o * blocks, row_grain(work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t g = i / blocks, c = i % blocks * kColumns, width = d - c < kColumns ? d - c : kColumns;
      T* base = to + g * input.stride(0) + c * input.stride(2);
      const T* source = from + g * values.stride(0) + c * values.stride(2);
      for (int64_t k = 0; k < m; k++)
        copy_row(base + ids[k] * input.stride(1), input.stride(2), source + k * values.stride(1), values.stride(2),
                 width);
    }
  });
}

// Every row is written once: a given one, or `value`. Because index rises, a chunk of rows finds its own by halving.
template <class T>
void put_rows(In rows, In index, int64_t n, double value, Out y) {
  const int64_t m = rows.size(0), d = rows.size(1);
  const int64_t* ids = index.data<int64_t>();
  check_indices("put_rows", "index", ids, m, n);
  for (int64_t k = 1; k < m; k++)
    if (ids[k] <= ids[k - 1])
      raise_value("put_rows", "index", "rising numbers",
                  Text("%lld after %lld", (long long)ids[k], (long long)ids[k - 1]));
  const T* from = rows.data<T>();
  T* to = y.data<T>();
  const T fill = convert<T>(value);
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    int64_t low = 0, high = m;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (ids[middle] < begin)
        low = middle + 1;
      else
        high = middle;
    }
    for (int64_t r = begin; r < end; r++) {
      T* out = to + r * d;
      if (low < m && ids[low] == r)
        copy_row(out, 1, from + low++ * d, 1, d);
      else
        for (int64_t c = 0; c < d; c++) out[c] = fill;
    }
  });
}

// ---------------------------------------------------------------- gather and its gradient

static void check_gather(const char* op, const char* self, Param input, int64_t dim, Param index) {
  if (input.ndim() != index.ndim())
    raise_value(op, "index", Text("as many dimensions as %s, %d", self, input.ndim()), Text("%d", index.ndim()));
  if (dim < 0 || dim >= input.ndim())
    raise_index(op, "dim", Text("a number in [0, %d)", input.ndim()), Text("%lld", (long long)dim));
  for (int d = 0; d < input.ndim(); d++)
    if (d != dim && index.size(d) > input.size(d))
      raise_value(op, "index", Text("at most the size %lld of %s in dimension %d", (long long)input.size(d), self, d),
                  Text("%lld", (long long)index.size(d)));
  View each = *index.v; // an index that is repeated is checked once
  for (int d = 0; d < each.ndim; d++)
    if (each.strides[d] == 0 && each.shape[d] > 1) each.shape[d] = 1;
  const View* views[1] = {&each};
  const int64_t* ids = static_cast<const int64_t*>(index.v->data);
  const int64_t size = input.size(int(dim));
  for_each_row<1>(views, [&](const int64_t* at, const int64_t* step, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
      const int64_t k = ids[at[0] + i * step[0]];
      if (k < 0 || k >= size)
        raise_index(op, "index", Text("every index in [0, %lld)", (long long)size), Text("%lld", (long long)k));
    }
  });
}

// `input` seen by the positions of `index`: its stride along dim is 0, for the index moves along it.
static View along(Param input, int64_t dim, Param index) {
  View v = *index.v;
  for (int d = 0; d < v.ndim; d++) v.strides[d] = d == dim ? 0 : input.stride(d);
  return v;
}

template <class T>
void gather(In input, int64_t dim, In index, Out y) {
  check_gather("gather", "input", input, dim, index);
  const View base = along(input, dim, index);
  const View* views[3] = {y.v, index.v, &base};
  T* to = y.data<T>();
  const int64_t* ids = index.data<int64_t>();
  const T* from = input.data<T>();
  const int64_t stride = input.ndim() ? input.stride(int(dim)) : 0;
  for_each_row<3>(views, [=](const int64_t* at, const int64_t* step, int64_t n) {
    T* out = to + at[0];
    const int64_t* k = ids + at[1];
    const T* x = from + at[2];
    for (int64_t i = 0; i < n; i++) out[i * step[0]] = x[i * step[2] + k[i * step[1]] * stride];
  });
}

// join(to, x) for each element x of src and the element `to` of input where it belongs. Lines along dim are independent
// of each other; each is walked in order.
template <class T, class Join>
static void scatter_lines(const char* op, InOut input, int64_t dim, In index, In src, const Join& join) {
  check_gather(op, "self", input, dim, index);
  View to_lines = along(input, dim, index), index_lines = *index.v, src_lines = *src.v;
  const int64_t length = index.size(int(dim));
  to_lines.shape[dim] = index_lines.shape[dim] = src_lines.shape[dim] = length ? 1 : 0;
  const View* views[3] = {&to_lines, &index_lines, &src_lines};
  T* to = input.data<T>();
  const int64_t* ids = index.data<int64_t>();
  const T* from = src.data<T>();
  const int64_t stride = input.stride(int(dim)), index_stride = index.stride(int(dim)),
                src_stride = src.stride(int(dim));
  for_each_row<3>(views, [=](const int64_t* at, const int64_t* step, int64_t n) {
    for (int64_t k = 0; k < length; k++) {
      T* out = to + at[0];
      const int64_t* id = ids + at[1] + k * index_stride;
      const T* x = from + at[2] + k * src_stride;
      if (step[1] == 0 && step[0] == 1 && step[2] == 1) { // whole rows
        T* row = out + *id * stride;
        for (int64_t i = 0; i < n; i++) join(row[i], x[i]);
      } else {
        for (int64_t i = 0; i < n; i++) join(out[i * step[0] + id[i * step[1]] * stride], x[i * step[2]]);
      }
    }
  });
}

template <class T>
void scatter_add(InOut input, int64_t dim, In index, In src) {
  scatter_lines<T>("scatter_add", input, dim, index, src, [](T& to, T x) { to += x; });
}
template <class T>
void scatter(InOut input, int64_t dim, In index, In src) {
  scatter_lines<T>("scatter", input, dim, index, src, [](T& to, T x) { to = x; });
}
// Integers wrap around; a NaN is the largest and the smallest.
template <class T>
void scatter_reduce(InOut input, int64_t dim, In index, In src, int64_t reduce) {
  const char* op = "scatter_reduce";
  if (reduce == 0)
    scatter_lines<T>(op, input, dim, index, src, [](T& to, T x) { to = T(W<T>(to) + W<T>(x)); });
  else if (reduce == 1)
    scatter_lines<T>(op, input, dim, index, src, [](T& to, T x) { to = T(W<T>(to) * W<T>(x)); });
  else if (reduce == 2)
    scatter_lines<T>(op, input, dim, index, src, [](T& to, T x) { to = to > x || to != to ? to : x; });
  else if (reduce == 3)
    scatter_lines<T>(op, input, dim, index, src, [](T& to, T x) { to = to < x || to != to ? to : x; });
  else
    raise_value(op, "reduce", "a number in [0, 4)", Text("%lld", (long long)reduce));
}

// ---------------------------------------------------------------- joining

template <class T>
void cat(InOut out, InList tensors) {
  const int64_t o = out.size(0), row = out.size(1) * out.size(2);
  int64_t total = 0;
  for (int64_t t = 0; t < tensors.count; t++) total += numel(tensors[t]);
  if (total != o * row)
    raise_value("cat", "tensors", Text("%lld elements in all", (long long)(o * row)), Text("%lld", (long long)total));
  if (total == 0) return;
  T* to = out.data<T>();
  int64_t at = 0;
  for (int64_t t = 0; t < tensors.count; t++) {
    const int64_t length = numel(tensors[t]) / o;
    if (length * o != numel(tensors[t]))
      raise_value("cat", Text("tensors[%lld]", (long long)t).s, Text("%lld rows", (long long)o),
                  Text("%lld elements", (long long)numel(tensors[t])));
    const T* from = tensors.data<T>(t);
    const int64_t pieces = (length + kGrain - 1) / kGrain;
    parallel_ranges(o * pieces, row_grain(length < kGrain ? length : kGrain), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t r = i / pieces, p = i % pieces * kGrain, n = length - p < kGrain ? length - p : kGrain;
        copy_row(to + r * row + at + p, 1, from + r * length + p, 1, n);
      }
    });
    at += length;
  }
}

} // namespace engine::ENGINE_ISA

#define FAMILY indexing
#include "cpu/instances.h"
