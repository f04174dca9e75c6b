// Indices sorted, and sums of the rows that share one: the gradient of every lookup. No atomics on floats: every order
// is fixed.
#pragma once
#include <memory>

#include "cuda/launch.h"

namespace engine::cuda {

// Exclusive sums of counts in place, on the device; total may be null.
void scan_counts(uint32_t* counts, int64_t n, int64_t* total);
void scan_counts(int64_t* counts, int64_t n, int64_t* total);
// cu_seqlens (b + 1) and the longest from lengths.
void scan_lengths(int64_t* lengths, int64_t b, int32_t* cu, int64_t* longest);

// Elements that are set, for arrays of any dtype.
class SetElements {
 public:
  SetElements(const View& x, int64_t* total); // counts them; total, on the device, may be null
  // Their positions; their coordinates if ndim > 0.
  void write(int64_t count, int64_t ndim, int64_t* index, int site) const;

 private:
  const View& x_;
  int64_t n_, runs_;
  uint64_t mask_;
  Scratch counts_;
};

// ids (n, null: all 0) in [0, limit), except `skip`, sorted stably.
class SortedIds {
 public:
  SortedIds(const int64_t* ids, int64_t n, int64_t limit, int64_t skip, int site);
  // to[g, r] = the sum of from[g, k] over the k with ids[k] = r, zeros where there is none: from is (groups, n, d), to
  // is (groups, limit, d). With rows (sparse; one group): only what occurs, packed to the front, and how much that is.
  template <class T>
  void sum_rows(const T* from, int64_t groups, int64_t d, T* to, int64_t* rows = nullptr,
                int64_t* count = nullptr) const;

 private:
  int64_t n_, limit_;
  Scratch keys_, order_, bounds_;
  std::unique_ptr<Scratch> other_keys_, other_order_;
  const uint32_t *sorted_, *positions_;
};

} // namespace engine::cuda
