// Order: sorting, the largest, places in sorted sequences.
//
// An element becomes a key, an unsigned number whose order is the wanted one: equal elements have equal keys, and NaN
// has the largest. Lines are sorted by the bytes of their keys, the lowest first (a radix sort, which keeps the order
// of equal keys); bytes that are the same in all keys are skipped. Lines are independent of each other.
#include "core/allocator.h"
#include "core/raise.h"
#include "core/view.h"
#include "cpu/elementwise.h"

namespace engine::ENGINE_ISA {

template <class T>
struct KeyOf {
  using type = uint32_t;
};
template <>
struct KeyOf<double> {
  using type = uint64_t;
};
template <>
struct KeyOf<int64_t> {
  using type = uint64_t;
};
template <class T>
using Key = typename KeyOf<T>::type;

template <class T>
static ENGINE_INLINE
Key<T> rising_key(T x) {
  constexpr Key<T> sign = Key<T>(1) << (sizeof(Key<T>) * 8 - 1);
  if constexpr (is_float<T>) {
    if (x != x) return ~Key<T>(0);
    if (x == 0) return sign;
    Key<T> bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
  } else {
    return Key<T>(x) ^ (T(-1) < T(0) ? sign : Key<T>(0));
  }
}

template <class K>
struct Item {
  K key;
  uint32_t index;
};

// A line's elements, `step` apart, as items.
template <class T>
static void read_line(const T* x, int64_t n, int64_t step, bool descending, Item<Key<T>>* items) {
  const Key<T> flip = descending ? ~Key<T>(0) : Key<T>(0);
  for (int64_t k = 0; k < n; k++) items[k] = {Key<T>(rising_key(x[k * step]) ^ flip), uint32_t(k)};
}

// Sorts n items; `other` is space for as many. Returns the one of the two in which they end up.
template <class K>
static Item<K>* sort_items(Item<K>* items, Item<K>* other, int64_t n) {
  if (n <= 32) {
    for (int64_t k = 1; k < n; k++) {
      const Item<K> item = items[k];
      int64_t at = k;
      for (; at > 0 && items[at - 1].key > item.key; at--) items[at] = items[at - 1];
      items[at] = item;
    }
    return items;
  }
  constexpr int kDigits = sizeof(K);
  int64_t counts[kDigits][256] = {};
  for (int64_t k = 0; k < n; k++)
    for (int d = 0; d < kDigits; d++) counts[d][items[k].key >> (8 * d) & 255]++;
  for (int d = 0; d < kDigits; d++) {
    int64_t* at = counts[d];
    if (at[items[0].key >> (8 * d) & 255] == n) continue;
    int64_t sum = 0;
    for (int b = 0; b < 256; b++) {
      const int64_t count = at[b];
      at[b] = sum;
      sum += count;
    }
    for (int64_t k = 0; k < n; k++) other[at[items[k].key >> (8 * d) & 255]++] = items[k];
    Item<K>* sorted = other;
    other = items;
    items = sorted;
  }
  return items;
}

// The first k of n elements in order, to items: a heap, whose top is the last of them, is kept while reading.
template <class T>
static void first_items(const T* x, int64_t n, int64_t step, int64_t k, bool descending, Item<Key<T>>* heap) {
  using I = Item<Key<T>>;
  const auto after = [](const I& a, const I& b) { return a.key > b.key || (a.key == b.key && a.index > b.index); };
  const auto sink = [&](int64_t at, int64_t size) {
    const I item = heap[at];
    for (int64_t child; (child = 2 * at + 1) < size; at = child) {
      if (child + 1 < size && after(heap[child + 1], heap[child])) child++;
      if (!after(heap[child], item)) break;
      heap[at] = heap[child];
    }
    heap[at] = item;
  };
  read_line(x, k, step, descending, heap);
  for (int64_t at = k / 2 - 1; at >= 0; at--) sink(at, k);
  const Key<T> flip = descending ? ~Key<T>(0) : Key<T>(0);
  for (int64_t j = k; j < n; j++) {
    const Key<T> key = Key<T>(rising_key(x[j * step]) ^ flip);
    if (key >= heap[0].key) continue;
    heap[0] = {key, uint32_t(j)};
    sink(0, k);
  }
  for (int64_t size = k - 1; size > 0; size--) {
    const I last = heap[0];
    heap[0] = heap[size];
    heap[size] = last;
    sink(0, size);
  }
}

// The first k along n of each line, sorted.
template <class T>
static void sort_lines(const char* op, In input, int64_t k, bool descending, Out values, Out indices) {
  using I = Item<Key<T>>;
  const int64_t o = input.size(0), n = input.size(1), inner = input.size(2);
  if (n > UINT32_MAX) raise_value(op, "input", "fewer than 2^32 elements in a line", Text("%lld", (long long)n));
  const T* x = input.data<T>();
  T* to = values.data<T>();
  int64_t* places = indices.data<int64_t>();
  const bool few = k < n / 8;
  parallel_ranges(o * inner, row_grain(n * 8), [&](int64_t begin, int64_t end) {
    I* items = static_cast<I*>(thread_scratch(0, size_t((few ? k : n) + 1) * sizeof(I)));
    I* other = few ? nullptr : static_cast<I*>(thread_scratch(1, size_t(n + 1) * sizeof(I)));
    for (int64_t line = begin; line < end; line++) {
      const int64_t g = line / inner, c = line % inner;
      const T* from = x + g * n * inner + c;
      const I* sorted = items;
      if (few) {
        first_items(from, n, inner, k, descending, items);
      } else {
        read_line(from, n, inner, descending, items);
        sorted = sort_items(items, other, n);
      }
      const int64_t at = g * k * inner + c;
      for (int64_t j = 0; j < k; j++) {
        to[at + j * inner] = from[int64_t(sorted[j].index) * inner];
        places[at + j * inner] = sorted[j].index;
      }
    }
  });
}

template <class T>
void sort(In input, bool descending, Out values, Out indices) {
  sort_lines<T>("sort", input, input.size(1), descending, values, indices);
}

template <class T>
void topk(In input, int64_t k, bool largest, Out values, Out indices) {
  if (k > input.size(1))
    raise_value("topk", "k", Text("a number in [0, %lld]", (long long)input.size(1)), Text("%lld", (long long)k));
  if (k > 0) sort_lines<T>("topk", input, k, largest, values, indices);
}

template <class T>
void searchsorted(In sequence, In values, bool right, Out index) {
  const int64_t rows = values.size(0), m = values.size(1), n = sequence.size(1);
  const int64_t row_step = sequence.stride(0), step = sequence.stride(1);
  const T *from = sequence.data<T>(), *wanted = values.data<T>();
  int64_t* to = index.data<int64_t>();
  parallel_ranges(rows * m, kGrain / 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T* row = from + i / m * row_step;
      const T value = wanted[i];
      int64_t low = 0, high = n;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const T x = row[middle * step];
        if (right ? !(x > value) : !(x >= value))
          low = middle + 1;
        else
          high = middle;
      }
      to[i] = low;
    }
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY sorting
#include "cpu/instances.h"
