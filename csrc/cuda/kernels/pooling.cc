// Pooling of packed sequences, and masks: launches.
#include "cuda/rows.h"
#include "cuda/sort.h"

namespace engine::cuda {
namespace {

template <class T>
int64_t in_vectors(int64_t d, const void* a, const void* b) {
  return (Unit() << a << b << d * int64_t(sizeof(T))).bytes() == 16;
}
template <class T>
int lanes_of(int64_t d, int64_t vector) {
  return row_lanes(vector ? d * int64_t(sizeof(T)) / 16 : d);
}

template <class T>
void pool(const Kernel& kernel, int site, In input, In cu_seqlens, T* y, int32_t* index) {
  const int64_t n = input.size(0), d = input.size(1), b = cu_seqlens.size(0) - 1;
  const int64_t vector = in_vectors<T>(d, input.v->data, y), columns = 8 * (vector ? 16 / int64_t(sizeof(T)) : 1);
  const unsigned rows = unsigned(b < 1 ? 1 : b < 65535 ? b : 65535);
  launch(kernel, {blocks(d, columns), rows}, {256}, 0, input.data<T>(), cu_seqlens.data<int32_t>(), b, n, d, vector, y,
         index, faults(), int64_t(site));
}
template <class T>
void pool_backward(const Kernel& kernel, int site, In dy, const int32_t* index, In cu_seqlens, int64_t n, Out dinput) {
  const int64_t d = dy.size(1), b = cu_seqlens.size(0) - 1;
  const int64_t vector = in_vectors<T>(d, dy.v->data, dinput.v->data);
  const int lanes = lanes_of<T>(d, vector);
  const unsigned grid = row_blocks(n, lanes);
  launch(kernel, {grid ? grid : 1}, {256}, 0, dy.data<T>(), index, cu_seqlens.data<int32_t>(), b, n, d, vector,
         dinput.data<T>(), int64_t(lanes), faults(), int64_t(site));
}

} // namespace

template <class T>
void pool_first(In input, In cu_seqlens, Out y) {
  static const Kernel kernel("pooling", named<T>("pool_first"));
  static const int site = fault_site("pool_first", "cu_seqlens", Wrong::cu_seqlens);
  const int64_t n = input.size(0), d = input.size(1), b = cu_seqlens.size(0) - 1;
  const int64_t vector = in_vectors<T>(d, input.v->data, y.v->data);
  const int lanes = lanes_of<T>(d, vector);
  const unsigned grid = row_blocks(b, lanes);
  launch(kernel, {grid ? grid : 1}, {256}, 0, input.data<T>(), cu_seqlens.data<int32_t>(), b, n, d, vector, y.data<T>(),
         int64_t(lanes), faults(), int64_t(site));
}
template <class T>
void pool_mean(In input, In cu_seqlens, Out y) {
  static const Kernel kernel("pooling", named<T>("pool_mean"));
  static const int site = fault_site("pool_mean", "cu_seqlens", Wrong::cu_seqlens);
  pool(kernel, site, input, cu_seqlens, y.data<T>(), nullptr);
}
template <class T>
void pool_max(In input, In cu_seqlens, Out y, Out index) {
  static const Kernel kernel("pooling", named<T>("pool_max"));
  static const int site = fault_site("pool_max", "cu_seqlens", Wrong::cu_seqlens);
  pool(kernel, site, input, cu_seqlens, y.data<T>(), index.data<int32_t>());
}

template <class T>
void pool_first_backward(In dy, In cu_seqlens, int64_t n, Out dinput) {
  static const Kernel kernel("pooling", named<T>("pool_first_backward"));
  static const int site = fault_site("pool_first_backward", "cu_seqlens", Wrong::cu_seqlens);
  pool_backward<T>(kernel, site, dy, nullptr, cu_seqlens, n, dinput);
}
template <class T>
void pool_mean_backward(In dy, In cu_seqlens, int64_t n, Out dinput) {
  static const Kernel kernel("pooling", named<T>("pool_mean_backward"));
  static const int site = fault_site("pool_mean_backward", "cu_seqlens", Wrong::cu_seqlens);
  pool_backward<T>(kernel, site, dy, nullptr, cu_seqlens, n, dinput);
}
template <class T>
void pool_max_backward(In dy, In index, In cu_seqlens, int64_t n, Out dinput) {
  static const Kernel kernel("pooling", named<T>("pool_max_backward"));
  static const int site = fault_site("pool_max_backward", "cu_seqlens", Wrong::cu_seqlens);
  pool_backward<T>(kernel, site, dy, index.data<int32_t>(), cu_seqlens, n, dinput);
}

// ---- masks

namespace {

// The bits of an element that tell whether it is 0, and those of 1.
struct MaskBits {
  uint64_t bits, one;
};
MaskBits mask_bits(DType t) {
  switch (t) {
    case DType::f32:
      return {0x7fffffff, 0x3f800000};
    case DType::bf16:
      return {0x7fff, 0x3f80};
    case DType::f16:
      return {0x7fff, 0x3c00};
    default:
      return {~uint64_t(0), 1};
  }
}
const Kernel& sized(const Kernel (&kernels)[4], int64_t item) {
  return kernels[item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : 3];
}
void mask_lengths(In mask, int64_t* lengths, int site) {
  static const Kernel kernels[4] = {{"pooling", "mask_lengths_1"},
                                    {"pooling", "mask_lengths_2"},
                                    {"pooling", "mask_lengths_4"},
                                    {"pooling", "mask_lengths_8"}};
  const MaskBits m = mask_bits(mask.dtype());
  const void* data = mask.v->data;
  launch(sized(kernels, item_size(mask.dtype())), {unsigned(mask.size(0))}, {256}, 0, data, mask.size(1), m.bits, m.one,
         lengths, faults(), int64_t(site));
}

} // namespace

template <class T>
void mask_seqlens(In mask, Out cu_seqlens, Out max_seqlen) {
  static const int site = fault_site("mask_seqlens", "attention_mask", Wrong::index);
  const int64_t b = mask.size(0), l = mask.size(1);
  if (b * l > INT32_MAX)
    throw Error(ErrorKind::value, "mask_seqlens", "attention_mask", "at most 2^31 - 1 positions",
                std::to_string(b * l));
  const Scratch lengths(size_t(b) * 8);
  mask_lengths(mask, lengths.data<int64_t>(), site);
  scan_lengths(lengths.data<int64_t>(), b, cu_seqlens.data<int32_t>(), max_seqlen.data<int64_t>());
}

template <class T>
void mask_indices(In mask, int64_t n, Out indices, Out position_ids) {
  static const Kernel kernels[4] = {{"pooling", "mask_indices_1"},
                                    {"pooling", "mask_indices_2"},
                                    {"pooling", "mask_indices_4"},
                                    {"pooling", "mask_indices_8"}};
  static const int site = fault_site("mask_indices", "n", Wrong::index);
  const int64_t b = mask.size(0);
  const Scratch lengths(size_t(b) * 8);
  mask_lengths(mask, lengths.data<int64_t>(), 0);
  scan_counts(lengths.data<int64_t>(), b, nullptr);
  const int64_t* starts = lengths.data<int64_t>();
  const void* data = mask.v->data;
  launch(sized(kernels, sizeof(T)), {unsigned(b)}, {256}, 0, data, mask.size(1), mask_bits(mask.dtype()).bits, starts,
         n, indices.data<int64_t>(), position_ids.data<int64_t>(), faults(), int64_t(site));
}

} // namespace engine::cuda

#define FAMILY pooling
#include "cuda/instances.h"
