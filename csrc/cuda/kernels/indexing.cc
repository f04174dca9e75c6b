// Reading and writing by index: launches. Shapes are checked here, indices by the kernels.
#include <vector>

#include "cuda/axes.h"
#include "cuda/device/shared.h"
#include "cuda/rows.h"
#include "cuda/sort.h"

namespace engine::cuda {

template <class T>
void fill(InOut dst, double value); // of the family copy

namespace {

const Kernel& of_unit(const Kernel (&kernels)[5], int64_t bytes) {
  return kernels[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : bytes == 8 ? 3 : 4];
}
#define UNITS(name)         \
  {{"indexing", name "_1"}, \
   {"indexing", name "_2"}, \
   {"indexing", name "_4"}, \
   {"indexing", name "_8"}, \
   {"indexing", name "_16"}}
#define ELEMENTS(name) \
  {{"indexing", name "_1"}, {"indexing", name "_2"}, {"indexing", name "_4"}, {"indexing", name "_8"}}

// A number in the place of an array.
bool is_number(const View* v) { return v->device == kCpu; }
} // namespace

template <class T>
void wrap_index(Opt previous, In index, int64_t size, int64_t, Out out) {
  static const Kernel kernel("indexing", "wrap_index");
  static const int site = fault_site("index", "index", Wrong::index);
  const View* before = previous ? previous.v : index.v;
  const int64_t n = out.numel();
  const Axes<2> axes = axes_of<2>({index.v, before});
  const bool one = is_number(index.v), fixed = !previous || is_number(previous.v);
  launch(kernel, {blocks(n, 256)}, {256}, 0, axes, one ? nullptr : index.data<int64_t>(),
         one && n ? *index.data<int64_t>() : int64_t(0), fixed ? nullptr : previous.data<int64_t>(),
         previous && fixed && n ? *previous.data<int64_t>() : int64_t(0), size, n, out.data<int64_t>(), faults(),
         int64_t(site));
}

template <class T>
void count_nonzero(In input, Out count) {
  SetElements(*input.v, count.data<int64_t>());
}

template <class T>
void nonzero_flat(In input, int64_t count, Out index) {
  static const int site = fault_site("nonzero_flat", "count", Wrong::index);
  SetElements(*input.v, nullptr).write(count, 0, index.data<int64_t>(), site);
}

template <class T>
void nonzero(In input, int64_t count, int64_t ndim, Out index) {
  static const int site = fault_site("nonzero", "count", Wrong::index);
  if (ndim != input.ndim())
    throw Error(ErrorKind::value, "nonzero", "ndim", std::to_string(input.ndim()) + ", the dimensions of input",
                std::to_string(ndim));
  if (ndim == 0) return; // coordinates of none
  SetElements(*input.v, nullptr).write(count, ndim, index.data<int64_t>(), site);
}

template <class T>
void index_rows(In input, In index, Out y) {
  static const Kernel kernels[5] = UNITS("index_rows");
  static const int site = fault_site("index", "index", Wrong::index);
  const int64_t o = input.size(0), n = input.size(1), d = input.size(2), m = index.size(0), item = sizeof(T);
  if (o * m * d == 0) return;
  int64_t so = o > 1 ? input.stride(0) : 0, sn = n > 1 ? input.stride(1) : 0, sd = d > 1 ? input.stride(2) : 1;
  int64_t unit = item;
  if (sd == 1) unit = (Unit() << input.v->data << y.v->data << so * item << sn * item << d * item).bytes();
  const int64_t units = d * item / unit;
  const int lanes = row_lanes(units);
  const void* x = input.v->data;
  launch(of_unit(kernels, unit), {row_blocks(o * m, lanes)}, {256}, 0, x, so * item / unit, sn * item / unit, sd,
         index.data<int64_t>(), n, divisor(m), o * m, units, y.v->data, int64_t(lanes), faults(), int64_t(site));
}

template <class T>
void index_rows_backward(In dy, In index, int64_t n, Out dinput) {
  static const int site = fault_site("index_backward", "index", Wrong::index);
  const int64_t o = dy.size(0), m = dy.size(1), d = dy.size(2);
  if (o * d * n == 0) return;
  SortedIds(index.data<int64_t>(), m, n, -1, site).sum_rows(dy.data<T>(), o, d, dinput.data<T>());
}

template <class T>
void index_put(InOut input, In index, In values) {
  static const Kernel winners("indexing", "put_winners"), kernels[5] = UNITS("index_put");
  static const int site = fault_site("index_put", "index", Wrong::index);
  const int64_t o = input.size(0), n = input.size(1), d = input.size(2), m = index.size(0), item = sizeof(T);
  if (o * m * d == 0) return;
  if (m > INT32_MAX) throw Error(ErrorKind::value, "index_put", "index", "fewer than 2^31 indices", std::to_string(m));
  const Scratch winner(size_t(n) * 4);
  fill_bytes(winner.data<int32_t>(), 0xff, size_t(n) * 4); // -1
  launch(winners, {blocks(m, 256)}, {256}, 0, index.data<int64_t>(), m, n, winner.data<int32_t>(), faults(),
         int64_t(site));
  const int64_t so = o > 1 ? input.stride(0) : 0, sn = n > 1 ? input.stride(1) : 0, sd = d > 1 ? input.stride(2) : 1,
                vo = o > 1 ? values.stride(0) : 0, vm = m > 1 ? values.stride(1) : 0, vd = d > 1 ? values.stride(2) : 1;
  int64_t unit = item;
  if (sd == 1 && vd == 1)
    unit = (Unit() << input.v->data << values.v->data << so * item << sn * item << vo * item << vm * item << d * item)
               .bytes();
  const int64_t units = d * item / unit;
  const int lanes = row_lanes(units);
  const void* from = values.v->data;
  const int32_t* won = winner.data<int32_t>();
  launch(of_unit(kernels, unit), {row_blocks(o * m, lanes)}, {256}, 0, input.v->data, so * item / unit,
         sn * item / unit, sd, index.data<int64_t>(), won, n, from, vo * item / unit, vm * item / unit, vd, divisor(m),
         o * m, units, int64_t(lanes));
}

template <class T>
void put_rows(In rows, In index, int64_t n, double value, Out y) {
  static const Kernel kernels[5] = UNITS("put_rows");
  static const int site = fault_site("put_rows", "index", Wrong::index);
  const int64_t m = rows.size(0), d = rows.size(1), item = sizeof(T);
  InOut all;
  all.v = y.v;
  fill<T>(all, value);
  if (m * d == 0) return;
  const int64_t unit = (Unit() << rows.v->data << y.v->data << d * item).bytes(), units = d * item / unit;
  const int lanes = row_lanes(units);
  const void* from = rows.v->data;
  launch(of_unit(kernels, unit), {row_blocks(m, lanes)}, {256}, 0, from, index.data<int64_t>(), m, n, units, y.v->data,
         int64_t(lanes), faults(), int64_t(site));
}

namespace {
void check_gather(const char* op, const char* self, Param input, int64_t dim, Param index) {
  if (input.ndim() != index.ndim())
    throw Error(ErrorKind::value, op, "index",
                "as many dimensions as " + std::string(self) + ", " + std::to_string(input.ndim()),
                std::to_string(index.ndim()));
  if (dim < 0 || dim >= input.ndim())
    throw Error(ErrorKind::index, op, "dim", "a number in [0, " + std::to_string(input.ndim()) + ")",
                std::to_string(dim));
  for (int d = 0; d < input.ndim(); d++)
    if (d != dim && index.size(d) > input.size(d))
      throw Error(
          ErrorKind::value, op, "index",
          "at most the size " + std::to_string(input.size(d)) + " of " + self + " in dimension " + std::to_string(d),
          std::to_string(index.size(d)));
}

// `input` seen by the positions of `index`: its stride along dim is 0, for the index moves along it.
View along(Param input, int64_t dim, Param index) {
  View v = *index.v;
  for (int d = 0; d < v.ndim; d++) v.strides[d] = d == dim ? 0 : input.stride(d);
  return v;
}
} // namespace

template <class T>
void gather(In input, int64_t dim, In index, Out y) {
  static const Kernel kernels[4] = ELEMENTS("gather");
  static const int site = fault_site("gather", "index", Wrong::index);
  check_gather("gather", "input", input, dim, index);
  const View base = along(input, dim, index);
  const int64_t n = y.numel(), item = sizeof(T);
  const void* x = input.v->data;
  launch(kernels[item == 1   ? 0
                 : item == 2 ? 1
                 : item == 4 ? 2
                             : 3],
         {blocks(n, 256)}, {256}, 0, axes_of<2>({index.v, &base}), x, input.stride(int(dim)), index.data<int64_t>(),
         input.size(int(dim)), n, y.v->data, faults(), int64_t(site));
}

namespace {
// A thread walks a line along dim, from src into input. `extra` follows the kernel's other arguments.
template <class... Extra>
void scatter_lines(const Kernel& kernel, const char* op, int site, InOut input, int64_t dim, In index, In src,
                   Extra... extra) {
  check_gather(op, "self", input, dim, index);
  View lines = along(input, dim, index), index_lines = *index.v, src_lines = *src.v;
  const int64_t length = index.size(int(dim));
  lines.shape[dim] = index_lines.shape[dim] = src_lines.shape[dim] = length ? 1 : 0;
  const int64_t n = numel(lines);
  const void* from = src.v->data;
  launch(kernel, {blocks(n, 256)}, {256}, 0, axes_of<3>({&index_lines, &src_lines, &lines}), input.v->data,
         input.stride(int(dim)), index.data<int64_t>(), index.stride(int(dim)), from, src.stride(int(dim)),
         input.size(int(dim)), length, n, faults(), int64_t(site), extra...);
}
} // namespace

template <class T>
void scatter_add(InOut input, int64_t dim, In index, In src) {
  static const Kernel kernel("indexing", named<T>("scatter_add"));
  static const int site = fault_site("scatter_add", "index", Wrong::index);
  scatter_lines(kernel, "scatter_add", site, input, dim, index, src);
}

template <class T>
void scatter(InOut input, int64_t dim, In index, In src) {
  static const Kernel kernel("indexing", "scatter_" + std::to_string(sizeof(T)));
  static const int site = fault_site("scatter", "index", Wrong::index);
  scatter_lines(kernel, "scatter", site, input, dim, index, src);
}

template <class T>
void scatter_reduce(InOut input, int64_t dim, In index, In src, int64_t reduce) {
  static const Kernel kernel("indexing", named<T>("scatter_reduce"));
  static const int site = fault_site("scatter_reduce", "index", Wrong::index);
  if (reduce < 0 || reduce > 3)
    throw Error(ErrorKind::value, "scatter_reduce", "reduce", "a number in [0, 4)", std::to_string(reduce));
  scatter_lines(kernel, "scatter_reduce", site, input, dim, index, src, reduce);
}

template <class T>
void cat(InOut out, InList tensors) {
  static const Kernel kernels[5] = UNITS("cat");
  const int64_t o = out.size(0), row = out.size(1) * out.size(2), item = sizeof(T);
  int64_t total = 0;
  for (int64_t t = 0; t < tensors.count; t++) total += numel(tensors[t]);
  if (total != o * row)
    throw Error(ErrorKind::value, "cat", "tensors", std::to_string(o * row) + " elements in all",
                std::to_string(total));
  if (total == 0) return;
  std::vector<Piece> pieces;
  Unit all;
  all << out.v->data << row * item;
  for (int64_t t = 0; t < tensors.count; t++) {
    const int64_t n = numel(tensors[t]), length = n / o;
    if (length * o != n)
      throw Error(ErrorKind::value, "cat", "tensors[" + std::to_string(t) + "]", std::to_string(o) + " rows",
                  std::to_string(n) + " elements");
    if (n) all << tensors[t].data << length * item;
  }
  const int64_t unit = all.bytes();
  int64_t at = 0, block = 0;
  for (int64_t t = 0; t < tensors.count; t++) {
    const int64_t n = numel(tensors[t]) * item / unit;
    if (n == 0) continue;
    pieces.push_back({tensors[t].data, at, n, block, divisor(n / o)});
    at += n / o;
    block += (n + 1023) / 1024;
  }
  const Scratch table(pieces.data(), pieces.size() * sizeof(Piece));
  const Piece* from = table.data<Piece>();
  launch(of_unit(kernels, unit), {unsigned(block)}, {256}, 0, from, int64_t(pieces.size()), row * item / unit,
         out.v->data);
}

} // namespace engine::cuda

#define FAMILY indexing
#include "cuda/instances.h"
