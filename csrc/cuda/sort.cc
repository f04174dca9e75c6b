#include "cuda/sort.h"

#include "cuda/device/shared.h"

namespace engine::cuda {
namespace {

struct Shape {
  int64_t ndim;
  Divisor size[8];
};
unsigned threads(int64_t n) { return blocks(n, 256); }

// The bits that tell whether an element is 0: not the sign of a float.
uint64_t value_bits(DType t) {
  switch (t) {
    case DType::f32:
      return 0x7f800000; // the exponent: subnormal numbers count as zero
    case DType::bf16:
      return 0x7f80;
    case DType::f16:
      return 0x7fff; // its subnormal numbers are none in float32
    default:
      return ~uint64_t(0);
  }
}
const Kernel& sized(const Kernel (&kernels)[4], DType t) {
  const int64_t item = item_size(t);
  return kernels[item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : 3];
}
} // namespace

void scan_counts(uint32_t* counts, int64_t n, int64_t* total) {
  static const Kernel kernel("indexing_sort", "scan_counts_u32");
  launch(kernel, {1}, {256}, 0, counts, n, total);
}
void scan_counts(int64_t* counts, int64_t n, int64_t* total) {
  static const Kernel kernel("indexing_sort", "scan_counts_i64");
  launch(kernel, {1}, {256}, 0, counts, n, total);
}
void scan_lengths(int64_t* lengths, int64_t b, int32_t* cu, int64_t* longest) {
  static const Kernel kernel("indexing_sort", "scan_lengths");
  launch(kernel, {1}, {256}, 0, lengths, b, cu, longest);
}

SetElements::SetElements(const View& x, int64_t* total)
    : x_(x), n_(numel(x)), runs_((n_ + kRun - 1) / kRun), mask_(value_bits(x.dtype)), counts_(size_t(runs_) * 8) {
  static const Kernel kernels[4] = {{"indexing_sort", "count_set_1"},
                                    {"indexing_sort", "count_set_2"},
                                    {"indexing_sort", "count_set_4"},
                                    {"indexing_sort", "count_set_8"}};
  const void* data = x.data;
  launch(sized(kernels, x.dtype), {unsigned(runs_)}, {256}, 0, data, n_, mask_, counts_.data<int64_t>());
  scan_counts(counts_.data<int64_t>(), runs_, total);
}
void SetElements::write(int64_t count, int64_t ndim, int64_t* index, int site) const {
  static const Kernel kernels[4] = {{"indexing_sort", "write_set_1"},
                                    {"indexing_sort", "write_set_2"},
                                    {"indexing_sort", "write_set_4"},
                                    {"indexing_sort", "write_set_8"}};
  Shape shape = {ndim, {}};
  for (int64_t d = 0; d < ndim; d++) shape.size[d] = divisor(x_.shape[d]);
  const void* data = x_.data;
  const int64_t* starts = counts_.data<int64_t>();
  launch(sized(kernels, x_.dtype), {unsigned(runs_)}, {256}, 0, data, n_, mask_, starts, count, shape, index, faults(),
         int64_t(site));
}

SortedIds::SortedIds(const int64_t* ids, int64_t n, int64_t limit, int64_t skip, int site)
    : n_(n), limit_(limit), keys_(size_t(n) * 4), order_(size_t(n) * 4), bounds_(size_t(limit) * 8) {
  static const Kernel make("indexing_sort", "sort_keys"), count("indexing_sort", "sort_count"),
      move("indexing_sort", "sort_move");
  if (n > INT32_MAX || limit > INT32_MAX)
    throw Error(ErrorKind::value, "index", "index", "fewer than 2^31 indices and rows",
                std::to_string(n) + " and " + std::to_string(limit));
  uint32_t *keys = keys_.data<uint32_t>(), *order = order_.data<uint32_t>();
  launch(make, {threads(n)}, {256}, 0, ids, n, limit, skip, keys, order, faults(), int64_t(site));
  int bits = 0;
  if (ids)
    while (int64_t(1) << bits <= limit) bits++;
  if (bits && n) {
    const int64_t runs = (n + kRun - 1) / kRun;
    const Scratch counts(size_t(runs) * 256 * 4);
    other_keys_.reset(new Scratch(size_t(n) * 4));
    other_order_.reset(new Scratch(size_t(n) * 4));
    uint32_t *keys_to = other_keys_->data<uint32_t>(), *order_to = other_order_->data<uint32_t>();
    for (int64_t shift = 0; shift < bits; shift += 8) {
      uint32_t* c = counts.data<uint32_t>();
      const uint32_t *from = keys, *positions = order, *starts = c;
      launch(count, {unsigned(runs)}, {256}, 0, from, n, shift, c);
      scan_counts(c, runs * 256, nullptr);
      launch(move, {unsigned(runs)}, {256}, 0, from, positions, n, shift, starts, keys_to, order_to);
      std::swap(keys, keys_to);
      std::swap(order, order_to);
    }
  }
  sorted_ = keys;
  positions_ = order;
}

template <class T>
void SortedIds::sum_rows(const T* from, int64_t groups, int64_t d, T* to, int64_t* rows, int64_t* count) const {
  static const Kernel bounds("indexing_sort", "sort_bounds"), number("indexing_sort", "sort_slots"),
      windows("embedding", named<T>("sum_windows")), finish("embedding", named<T>("finish_rows"));
  uint32_t *start = bounds_.data<uint32_t>(), *end = start + limit_;
  fill_bytes(start, 0, size_t(limit_) * 8);
  const Scratch heads(rows ? size_t(n_) : 0), places(rows ? size_t(n_) * 8 : 0), slots(rows ? size_t(limit_) * 4 : 0);
  launch(bounds, {threads(n_)}, {256}, 0, sorted_, n_, limit_, start, end, rows ? heads.data<uint8_t>() : nullptr);
  uint32_t* slot = rows ? slots.data<uint32_t>() : nullptr;
  if (rows) {
    View flags = {};
    flags.data = heads.data<uint8_t>();
    flags.dtype = DType::u8;
    flags.ndim = 1;
    flags.shape[0] = n_;
    flags.strides[0] = 1;
    const SetElements set(flags, count);
    set.write(n_, 0, places.data<int64_t>(), 0);
    const int64_t *at = places.data<int64_t>(), *n = count;
    launch(number, {threads(n_)}, {256}, 0, sorted_, at, n, slot, rows);
  }
  const int64_t num_windows = (n_ + kWindow - 1) / kWindow;
  const Scratch partial(size_t(groups * num_windows * 2 * d) * 4);
  const int64_t width = 16 / int64_t(sizeof(T));
  const int64_t vector =
      d % width == 0 && (reinterpret_cast<uintptr_t>(from) & 15) == 0 && (reinterpret_cast<uintptr_t>(to) & 15) == 0;
  const int64_t units = vector ? d / width : d;
  float* parts = partial.data<float>();
  const uint32_t *s = start, *e = end, *places_of = slot;
  int64_t lanes = 32;
  while (lanes < units && lanes < 256) lanes *= 2;
  const unsigned tiles = blocks(units, lanes);
  for (int64_t g = 0; g < groups; g += 65535) {
    const unsigned z = unsigned(groups - g < 65535 ? groups - g : 65535);
    const T* part_from = from + g * n_ * d;
    T* part_to = to + g * limit_ * d;
    launch(windows, {unsigned(num_windows), tiles, z}, {unsigned(lanes)}, 0, part_from, sorted_, positions_, n_, limit_,
           d, vector, s, e, places_of, part_to, parts + g * num_windows * 2 * d);
    const float* const sums = parts + g * num_windows * 2 * d;
    launch(finish, {unsigned(limit_), tiles, z}, {unsigned(lanes)}, 0, sums, num_windows, limit_, d, vector, s, e,
           places_of, part_to);
  }
}
template void SortedIds::sum_rows(const float*, int64_t, int64_t, float*, int64_t*, int64_t*) const;
template void SortedIds::sum_rows(const BFloat16*, int64_t, int64_t, BFloat16*, int64_t*, int64_t*) const;

} // namespace engine::cuda
