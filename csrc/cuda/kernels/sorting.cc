// Order: launches.
#include <utility>

#include "cuda/axes.h"
#include "cuda/launch.h"

namespace engine::cuda {
namespace {

// The first k along n of each line of (o, n, inner), sorted.
template <class T>
void sort_lines(const char* op, In input, int64_t k, bool descending, Out values, Out indices) {
  using Key = std::conditional_t<std::is_same_v<T, int64_t>, uint64_t, uint32_t>;
  static const Kernel keys("sorting", named<T>("sort_keys")),
      merge("sorting", "sort_merge_" + std::to_string(sizeof(Key))),
      take("sorting", "sort_take_" + std::to_string(sizeof(T)));
  const int64_t n = input.size(1), inner = input.size(2), total = input.numel(), wanted = values.numel();
  if (n > UINT32_MAX)
    throw Error(ErrorKind::value, op, "input", "fewer than 2^32 elements in a line", std::to_string(n));
  if (wanted == 0) return;
  const Scratch keys_a(size_t(total) * sizeof(Key)), keys_b(size_t(total) * sizeof(Key)), order_a(size_t(total) * 4),
      order_b(size_t(total) * 4);
  Key *from = keys_a.data<Key>(), *to = keys_b.data<Key>();
  uint32_t *order = order_a.data<uint32_t>(), *other = order_b.data<uint32_t>();
  launch(keys, {blocks(total, 256)}, {256}, 0, input.data<T>(), divisor(n), divisor(inner), total, int64_t(descending),
         from, order);
  for (int64_t width = 1; width < n; width *= 2) {
    launch(merge, {blocks(total, 256)}, {256}, 0, static_cast<const Key*>(from), static_cast<const uint32_t*>(order),
           divisor(n), width, total, to, other);
    std::swap(from, to);
    std::swap(order, other);
  }
  const void* x = input.v->data;
  launch(take, {blocks(wanted, 256)}, {256}, 0, x, static_cast<const uint32_t*>(order), n, divisor(k), divisor(inner),
         wanted, values.v->data, indices.data<int64_t>());
}

} // namespace

template <class T>
void sort(In input, bool descending, Out values, Out indices) {
  sort_lines<T>("sort", input, input.size(1), descending, values, indices);
}

template <class T>
void topk(In input, int64_t k, bool largest, Out values, Out indices) {
  if (k > input.size(1))
    throw Error(ErrorKind::value, "topk", "k", "a number in [0, " + std::to_string(input.size(1)) + "]",
                std::to_string(k));
  sort_lines<T>("topk", input, k, largest, values, indices);
}

template <class T>
void searchsorted(In sequence, In values, bool right, Out index) {
  static const Kernel kernel("sorting", named<T>("searchsorted"));
  const int64_t total = values.numel();
  launch(kernel, {blocks(total, 256)}, {256}, 0, sequence.data<T>(), sequence.stride(0), sequence.stride(1),
         sequence.size(1), values.data<T>(), divisor(values.size(1)), total, int64_t(right), index.data<int64_t>());
}

} // namespace engine::cuda

#define FAMILY sorting
#include "cuda/instances.h"
