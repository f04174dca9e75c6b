// Sums of rows that share an index: the gradient of every lookup. Positions are sorted by index with a counting sort
// (stable, so each segment lists its positions in rising order), then each segment is summed by itself: no atomics, and
// nothing depends on the number of threads. A segment longer than kPiece is summed in pieces, which are added in their
// order.
#pragma once
#include "core/allocator.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

constexpr int64_t kPiece = 64;

// Positions of index r: order[start[r]] to order[start[r + 1]].
struct Segments {
  int64_t n;            // indices sorted
  const int64_t* start; // (limit + 1)
  const int64_t* order; // (n)
};

// `ids` (n numbers, checked to lie in [0, limit); null: all 0) sorted; `skip` is left out (a negative number: none).
// Lives in the calling thread's scratch slots 0 and 1.
inline Segments sort_indices(const int64_t* ids, int64_t n, int64_t limit, int64_t skip) {
  int64_t* start = static_cast<int64_t*>(thread_scratch(0, size_t(limit + 1) * 8));
  int64_t* order = static_cast<int64_t*>(thread_scratch(1, size_t(n + 1) * 8));
  for (int64_t r = 0; r <= limit; r++) start[r] = 0;
  if (!ids) {
    if (skip == 0) n = 0;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t r = 1; r <= limit; r++) start[r] = n;
    return {n, start, order};
  }
  for (int64_t i = 0; i < n; i++) start[ids[i]]++;
  if (skip >= 0 && skip < limit) start[skip] = 0;
  int64_t at = 0;
  for (int64_t r = 0; r < limit; r++) { // from counts to where each segment starts
    const int64_t count = start[r];
    start[r] = at;
    at += count;
  }
  start[limit] = at;
  for (int64_t i = 0; i < n; i++)
    if (ids[i] != skip) order[start[ids[i]]++] = i;
  for (int64_t r = limit; r > 0; r--) start[r] = start[r - 1]; // filling moved each start to the next one's
  start[0] = 0;
  return {at, start, order};
}

// to = the sum of `count` rows of d elements at from + order[k] * d, added in order.
template <class T>
ENGINE_INLINE
void sum_rows(const T* from, const int64_t* order, int64_t count, int64_t d, T* to) {
  using namespace simd;
  constexpr int L = kLanes<T>, B = 8;
  int64_t c = 0;
  for (; c + B * L <= d; c += B * L) {
    V<T> sum[B];
    for (int b = 0; b < B; b++) sum[b] = load(from + order[0] * d + c + b * L);
    for (int64_t k = 1; k < count; k++) {
      const T* row = from + order[k] * d + c;
      for (int b = 0; b < B; b++) sum[b] += load(row + b * L);
    }
    for (int b = 0; b < B; b++) store(to + c + b * L, sum[b]);
  }
  for (; c + L <= d; c += L) {
    V<T> sum = load(from + order[0] * d + c);
    for (int64_t k = 1; k < count; k++) sum += load(from + order[k] * d + c);
    store(to + c, sum);
  }
  for (; c < d; c++) {
    T sum = from[order[0] * d + c];
    for (int64_t k = 1; k < count; k++) sum += from[order[k] * d + c];
    to[c] = sum;
  }
}

// to[g] = sums of the rows of from[g] by index, for each g of `groups`: from is (groups, m, d), to is (groups, limit,
// d). Every row of `to` is written once: a sum, or zeros. With `rows` (sparse form; groups = 1): only indices that
// occur are written, packed to the front of `to`, and `rows` gets them in rising order. Returns how many indices occur.
template <class T>
int64_t sum_segments(const Segments& s, const T* from, int64_t groups, int64_t m, int64_t limit, int64_t d, T* to,
                     int64_t* rows) {
  struct Unit {
    int64_t begin, count;
    int64_t target; // row of `to`; ~slot: a partial sum
  };
  struct Long { // an index whose segment took several pieces
    int64_t target, slot, pieces;
  };
  Unit* units = static_cast<Unit*>(thread_scratch(2, size_t(s.n + 1) * sizeof(Unit)));
  Long* longs = static_cast<Long*>(thread_scratch(3, size_t(s.n / kPiece + 1) * sizeof(Long)));
  int64_t num_units = 0, num_longs = 0, slots = 0, occurring = 0;
  for (int64_t r = 0; r < limit; r++) {
    const int64_t begin = s.start[r], count = s.start[r + 1] - begin;
    if (count == 0) continue;
    const int64_t target = rows ? occurring : r;
    if (rows) rows[occurring] = r;
    occurring++;
    if (count <= kPiece) {
      units[num_units++] = {begin, count, target};
      continue;
    }
    const int64_t first = slots;
    for (int64_t at = 0; at < count; at += kPiece)
      units[num_units++] = {begin + at, count - at < kPiece ? count - at : kPiece, ~slots++};
    longs[num_longs++] = {target, first, slots - first};
  }
  T* partial = static_cast<T*>(thread_scratch(4, size_t(groups * slots * d) * sizeof(T)));
  if (!rows && occurring < limit)
    parallel_ranges(groups * limit, row_grain(d), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t r = i % limit;
        if (s.start[r] == s.start[r + 1])
          for (int64_t c = 0; c < d; c++) to[i * d + c] = 0;
      }
    });
  if (num_units == 0) return occurring;
  // As many units a chunk as hold, on average, the elements worth a thread.
  const int64_t grain = row_grain(d) * num_units / s.n;
  parallel_ranges(groups * num_units, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t g = i / num_units;
      const Unit& u = units[i % num_units];
      T* row = u.target >= 0 ? to + (g * limit + u.target) * d : partial + (g * slots + ~u.target) * d;
      sum_rows(from + g * m * d, s.order + u.begin, u.count, d, row);
    }
  });
  parallel_ranges(groups * num_longs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t g = i / num_longs;
      const Long& l = longs[i % num_longs];
      T* row = to + (g * limit + l.target) * d;
      const T* part = partial + (g * slots + l.slot) * d;
      for (int64_t c = 0; c < d; c++) row[c] = part[c];
      for (int64_t k = 1; k < l.pieces; k++)
        for (int64_t c = 0; c < d; c++) row[c] += part[k * d + c];
    }
  });
  return occurring;
}

} // namespace engine::ENGINE_ISA
