// LookupTable lookups and their gradients: launches. A gradient sorts the indices and sums what shares one
// (cuda/sort.h).
#include "cuda/device/shared.h"
#include "cuda/rows.h"
#include "cuda/sort.h"

namespace engine::cuda {

template <class T>
void embedding(In weight, In input, Out y) {
  static const Kernel kernels[5] = {{"indexing", "index_rows_1"},
                                    {"indexing", "index_rows_2"},
                                    {"indexing", "index_rows_4"},
                                    {"indexing", "index_rows_8"},
                                    {"indexing", "index_rows_16"}};
  static const int site = fault_site("embedding", "input", Wrong::index);
  const int64_t n = input.numel(), v = weight.size(0), d = weight.size(1), row = d * int64_t(sizeof(T));
  if (n * d == 0) return;
  const int64_t unit = (Unit() << weight.v->data << y.v->data << row).bytes(), units = row / unit;
  const int lanes = row_lanes(units);
  const void* from = weight.v->data;
  launch(kernels[unit == 2   ? 1
                 : unit == 4 ? 2
                 : unit == 8 ? 3
                             : 4],
         {row_blocks(n, lanes)}, {256}, 0, from, int64_t(0), units, int64_t(1), input.data<int64_t>(), v, divisor(n), n,
         units, y.v->data, int64_t(lanes), faults(), int64_t(site));
}

template <class T>
void embedding_backward(In dy, In input, int64_t v, int64_t padding_idx, Out dweight) {
  static const int site = fault_site("embedding_backward", "input", Wrong::index);
  const int64_t n = input.numel(), d = dy.size(-1);
  if (v * d == 0) return;
  SortedIds(input.data<int64_t>(), n, v, padding_idx, site).sum_rows(dy.data<T>(), 1, d, dweight.data<T>());
}

template <class T>
void embedding_backward_sparse(In dy, In input, int64_t v, int64_t padding_idx, int64_t k, Out rows, Out values,
                               Out count) {
  static const int site = fault_site("embedding_backward_sparse", "input", Wrong::index);
  const int64_t n = input.numel(), d = dy.size(-1);
  if (k < (n < v ? n : v))
    throw Error(ErrorKind::value, "embedding_backward_sparse", "k",
                "room for min(n, v) = " + std::to_string(n < v ? n : v) + " rows", std::to_string(k));
  SortedIds(input.data<int64_t>(), n, v, padding_idx, site)
      .sum_rows(dy.data<T>(), 1, d, values.data<T>(), rows.data<int64_t>(), count.data<int64_t>());
}

template <class T>
void embedding_sum(In word, In input, In position, In position_ids, Opt token_type, Opt token_type_ids, Out y) {
  static const Kernel kernel("embedding", named<T>("embedding_sum"));
  static const int word_site = fault_site("embedding_sum", "input", Wrong::index),
                   position_site = fault_site("embedding_sum", "position_ids", Wrong::index),
                   type_site = fault_site("embedding_sum", "token_type_ids", Wrong::index);
  const int64_t n = input.numel(), d = word.size(1), width = 16 / int64_t(sizeof(T));
  if (token_type_ids && !token_type)
    throw Error(ErrorKind::value, "embedding_sum", "token_type_weight", "a table for token_type_ids", "None");
  if (token_type && !token_type_ids && n > 0 && token_type.size(0) == 0)
    throw Error(ErrorKind::index, "embedding_sum", "token_type_weight", "at least one row", "0");
  if (n * d == 0) return;
  const LookupTable words = {word.v->data, input.data<int64_t>(), word.size(0)},
                    positions = {position.v->data, position_ids.data<int64_t>(), position.size(0)},
                    types = {token_type ? token_type.v->data : nullptr, token_type_ids.data<int64_t>(),
                             token_type ? token_type.size(0) : 0};
  const int64_t unit =
      (Unit() << words.rows << positions.rows << types.rows << y.v->data << d * int64_t(sizeof(T))).bytes();
  const int64_t vector = unit == 16;
  const int lanes = row_lanes(vector ? d / width : d);
  launch(kernel, {row_blocks(n, lanes)}, {256}, 0, words, positions, types, n, d, vector, int64_t(lanes), y.data<T>(),
         faults(), int64_t(word_site), int64_t(position_site), int64_t(type_site));
}

template <class T>
void embedding_sum_backward(In dy, In input, In position_ids, Opt token_type_ids, int64_t v, int64_t p, int64_t t,
                            int64_t padding_idx, Out dword, Out dposition, Out dtoken_type) {
  static const int word_site = fault_site("embedding_sum_backward", "input", Wrong::index),
                   position_site = fault_site("embedding_sum_backward", "position_ids", Wrong::index),
                   type_site = fault_site("embedding_sum_backward", "token_type_ids", Wrong::index);
  const int64_t n = input.numel(), d = dy.size(-1);
  if (d == 0) return;
  const T* g = dy.data<T>();
  if (v > 0) SortedIds(input.data<int64_t>(), n, v, padding_idx, word_site).sum_rows(g, 1, d, dword.data<T>());
  if (p > 0) SortedIds(position_ids.data<int64_t>(), n, p, -1, position_site).sum_rows(g, 1, d, dposition.data<T>());
  if (t > 0) SortedIds(token_type_ids.data<int64_t>(), n, t, -1, type_site).sum_rows(g, 1, d, dtoken_type.data<T>());
}

} // namespace engine::cuda

#define FAMILY embedding
#include "cuda/instances.h"
