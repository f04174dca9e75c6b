// Table lookups: rows of weight (v, d) by int64 indices, and the sum of a transformer's three lookups in one pass. The
// gradient of a table is dense, every row written once; or sparse, the rows that occur and their sums. Indices are
// checked before anything is written.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/segments.h"

namespace engine::ENGINE_ISA {

using namespace simd;

template <class T>
void embedding(In weight, In input, Out y) {
  const int64_t n = input.numel(), v = weight.size(0), d = weight.size(1);
  const int64_t* ids = input.data<int64_t>();
  check_indices("embedding", "input", ids, n, v);
  const T* w = weight.data<T>();
  T* to = y.data<T>();
  parallel_ranges(n, row_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) __builtin_memcpy(to + i * d, w + ids[i] * d, size_t(d) * sizeof(T));
  });
}

template <class T>
void embedding_backward(In dy, In input, int64_t v, int64_t padding_idx, Out dweight) {
  const int64_t n = input.numel(), d = dy.size(-1);
  const int64_t* ids = input.data<int64_t>();
  check_indices("embedding_backward", "input", ids, n, v);
  sum_segments<T>(sort_indices(ids, n, v, padding_idx), dy.data<T>(), 1, n, v, d, dweight.data<T>(), nullptr);
}

template <class T>
void embedding_backward_sparse(In dy, In input, int64_t v, int64_t padding_idx, int64_t k, Out rows, Out values,
                               Out count) {
  const int64_t n = input.numel(), d = dy.size(-1);
  const int64_t* ids = input.data<int64_t>();
  check_indices("embedding_backward_sparse", "input", ids, n, v);
  if (k < (n < v ? n : v))
    raise_value("embedding_backward_sparse", "k", Text("room for min(n, v) = %lld rows", (long long)(n < v ? n : v)),
                Text("%lld", (long long)k));
  *count.data<int64_t>() = sum_segments<T>(sort_indices(ids, n, v, padding_idx), dy.data<T>(), 1, n, v, d,
                                           values.data<T>(), rows.data<int64_t>());
}

// word[input] + position[position_ids] + token_type[token_type_ids]; where token_type_ids is None all are 0.
template <class T>
void embedding_sum(In word, In input, In position, In position_ids, Opt token_type, Opt token_type_ids, Out y) {
  const int64_t n = input.numel(), d = word.size(1);
  const int64_t *ids = input.data<int64_t>(), *positions = position_ids.data<int64_t>(),
                *types = token_type_ids.data<int64_t>();
  check_indices("embedding_sum", "input", ids, n, word.size(0));
  check_indices("embedding_sum", "position_ids", positions, n, position.size(0));
  if (token_type && types) check_indices("embedding_sum", "token_type_ids", types, n, token_type.size(0));
  if (types && !token_type) raise_value("embedding_sum", "token_type_weight", "a table for token_type_ids", "None");
  if (token_type && !types && n > 0 && token_type.size(0) == 0)
    raise_index("embedding_sum", "token_type_weight", "at least one row", "0");
  const T *w = word.data<T>(), *p = position.data<T>(), *t = token_type.data<T>();
  T* to = y.data<T>();
  constexpr int L = kLanes<T>;
  parallel_ranges(n, row_grain(3 * d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T *a = w + ids[i] * d, *b = p + positions[i] * d, *c = t ? t + (types ? types[i] : 0) * d : nullptr;
      T* out = to + i * d;
      int64_t k = 0;
      if (c)
        for (; k + L <= d; k += L) store(out + k, load(a + k) + load(b + k) + load(c + k));
      else
        for (; k + L <= d; k += L) store(out + k, load(a + k) + load(b + k));
      for (; k < d; k++) out[k] = c ? a[k] + b[k] + c[k] : a[k] + b[k];
    }
  });
}

template <class T>
void embedding_sum_backward(In dy, In input, In position_ids, Opt token_type_ids, int64_t v, int64_t p, int64_t t,
                            int64_t padding_idx, Out dword, Out dposition, Out dtoken_type) {
  const int64_t n = input.numel(), d = dy.size(-1);
  const int64_t *ids = input.data<int64_t>(), *positions = position_ids.data<int64_t>(),
                *types = token_type_ids.data<int64_t>();
  if (v > 0) check_indices("embedding_sum_backward", "input", ids, n, v);
  check_indices("embedding_sum_backward", "position_ids", positions, n, p);
  if (types) check_indices("embedding_sum_backward", "token_type_ids", types, n, t);
  const T* g = dy.data<T>();
  if (v > 0) sum_segments<T>(sort_indices(ids, n, v, padding_idx), g, 1, n, v, d, dword.data<T>(), nullptr);
  sum_segments<T>(sort_indices(positions, n, p, -1), g, 1, n, p, d, dposition.data<T>(), nullptr);
  if (t > 0) sum_segments<T>(sort_indices(types, n, t, -1), g, 1, n, t, d, dtoken_type.data<T>(), nullptr);
}

} // namespace engine::ENGINE_ISA

#define FAMILY embedding
#include "cpu/instances.h"
