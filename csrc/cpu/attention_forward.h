// Attention's forward; see csrc/cpu/kernels/attention.cc.
#pragma once
#include "cpu/attention.h"

namespace engine::ENGINE_ISA {

template <class T>
struct ForwardRoom {
  T *keys, *scores, *bias, *top, *total, *found, *shrink, *inverse;
  typename Integer<T>::type* keep;
  size_t bytes;
  ForwardRoom(const Problem<T>& p, int64_t most_keys, char* base) {
    Pieces pieces{base};
    const int64_t tile = most_keys < kKeys ? most_keys : kKeys, rows = padded<T>(kRows);
    keys = pieces.take<T>(packed_size<T>(p.d, most_keys));
    scores = pieces.take<T>(kRows * (padded<T>(tile) + kApart));
    bias = pieces.take<T>(padded<T>(tile));
    top = pieces.take<T>(rows);
    total = pieces.take<T>(rows);
    found = pieces.take<T>(rows);
    shrink = pieces.take<T>(rows);
    inverse = pieces.take<T>(rows);
    keep = pieces.take<typename Integer<T>::type>(kDrawRows * kKeys);
    bytes = pieces.used;
  }
};

// s = scale * s + bias, for n scores; whole vectors are written.
template <class T>
static void add_bias(T* s, T scale, const T* bias, int64_t n) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(scale);
  for (int64_t j = 0; j < n; j += L) {
    const V<T> b = bias ? load_n(bias + j, n - j < L ? n - j : L) : zero<T>();
    store(s + j, fma(load(s + j), f, b));
  }
}

template <class T>
static bool any_nan(const T* s, int64_t n) {
  for (int64_t j = 0; j < n; j++)
    if (s[j] != s[j]) return true;
  return false;
}

// s = exp(scale * s - top) for n scores, zeros behind them up to `width`; returns the sum. What dropout takes becomes
// zero after it was summed.
template <class T, bool kDrop>
static T exponentials(T* s, T scale, T top, int64_t n, int64_t width, const typename Integer<T>::type* keep) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(scale), low = broadcast(-top);
  Wide<T> total;
  walk<T>(n, [&](int p, int64_t j, int64_t k) ENGINE_LAMBDA {
    V<T> e = exp_falling(fma(load(s + j), f, low));
    if (k < L) e = first_lanes(e, k, T(0));
    total[p] += e;
    store(s + j, kDrop ? (V<T>)((Bits<T>)e & load(keep + j)) : e);
  });
  for (int64_t j = padded<T>(n); j < width; j += L) store(s + j, zero<T>());
  return sum(total);
}

// The online softmax of a block of rows against a tile of n keys from t0 on: scores become exp(score - top), less what
// is dropped. top and total are brought up to date; shrink is the factor of what earlier tiles added up.
template <class T>
static void softmax_rows(const Problem<T>& p, const ForwardRoom<T>& room, int64_t lds, int64_t unit, int64_t r0,
                         int64_t t0, int64_t rows, int64_t n, int64_t shift) {
  constexpr int L = kLanes<T>;
  const bool biased = p.mask.data || p.scale < 0; // then scores are scaled as the bias is added
  const T scale = biased ? T(1) : p.scale;
  for (int64_t i = 0; i < rows; i++) {
    T* score = room.scores + i * lds;
    const int64_t seen = keys_seen(i, shift, n);
    if (biased)
      add_bias(score, p.scale, p.mask.data ? bias_row(p.mask, unit, r0 + i, t0, seen, room.bias) : nullptr, seen);
    room.found[i] = row_highest<T>(seen, [&](int64_t j, int64_t) ENGINE_LAMBDA { return load(score + j); });
  }
  for (int64_t i = 0; i < rows; i += L) {
    const V<T> low = broadcast(-kInf<T>), found = load(room.found + i);
    const V<T> here = found == low ? low : found * scale; // scale may be 0
    if (t0 == 0) {
      store(room.top + i, here);
      continue;
    }
    const V<T> before = load(room.top + i), top = max(here, before);
    store(room.top + i, top);
    store(room.shrink + i, before == low ? zero<T>() : exp_falling(before - top));
  }
  for (int64_t i = 0; i < rows; i++) {
    T* score = room.scores + i * lds;
    const T top = room.top[i];
    // Where no key took part so far, all is zero. A row of NaNs has no highest either; its results shall be NaN.
    int64_t seen = keys_seen(i, shift, n);
    if (top == -kInf<T> && !any_nan(score, seen)) seen = 0;
    if (p.dropout.on) {
      if (i % kDrawRows == 0)
        keep_rows<T>(p.dropout, unit, r0 + i, t0, keys_seen(i + kDrawRows - 1, shift, n), room.keep, kKeys);
      room.found[i] = exponentials<T, true>(score, scale, top, seen, padded<T>(n), room.keep + i % kDrawRows * kKeys);
    } else {
      room.found[i] = exponentials<T, false>(score, scale, top, seen, padded<T>(n), nullptr);
    }
  }
  const V<T> drop_scale = broadcast(T(p.dropout.scale));
  for (int64_t i = 0; i < rows; i += L) {
    V<T> total = load(room.found + i);
    if (t0) total += load(room.total + i) * load(room.shrink + i);
    store(room.total + i, total);
    store(room.inverse + i, total == zero<T>() ? zero<T>() : drop_scale / total);
  }
}

// Rows [row0, row1) of one sequence and head.
template <class T>
static void forward_unit(const Problem<T>& p, Heads<T> out, T* lse, int64_t t_q, int64_t s, int64_t head, int64_t row0,
                         int64_t row1, const ForwardRoom<T>& room) {
  constexpr int L = kLanes<T>;
  const int64_t q0 = p.cu_q[s], k0 = p.cu_k[s], all_keys = p.cu_k[s + 1] - k0, unit = s * p.heads + head;
  const int64_t keys = p.causal && row1 < all_keys ? row1 : all_keys; // those that any of the rows sees
  ask_for(p.q, q0 + row0, row1 - row0, head, p.d);
  ask_for(p.v, k0, keys, head, p.e);
  ask_for(out, q0 + row0, row1 - row0, head, p.e);
  pack_columns(p.d, keys, p.k.at(k0, head), p.k.row, room.keys);
  const int64_t lds = padded<T>(keys < kKeys ? keys : kKeys) + kApart;
  for (int64_t r0 = row0; r0 < row1; r0 += kRows) {
    const int64_t rows = row1 - r0 < kRows ? row1 - r0 : kRows, end = p.causal && r0 + rows < keys ? r0 + rows : keys;
    const bool scale_scores = end <= kKeys && end <= p.e; // where the division by the sum is cheaper
    T* o = out.at(q0 + r0, head);
    for (int64_t t0 = 0; t0 == 0 || t0 < end; t0 += kKeys) {
      const int64_t n = end - t0 < kKeys ? end - t0 : kKeys, shift = p.causal ? r0 - t0 : kNotCausal;
      product_to_scores<T>(rows, n, p.d, {p.q.at(q0 + r0, head), p.q.row, 1}, packed(room.keys + t0 * p.d, p.d),
                           overwrite(room.scores, lds), shift);
      softmax_rows(p, room, lds, unit, r0, t0, rows, n, shift);
      if (t0)
        for (int64_t i = 0; i < rows; i++)
          if (room.shrink[i] != 1) scale_row(o + i * out.row, p.e, room.shrink[i]);
      if (scale_scores)
        for (int64_t i = 0; i < rows; i++) scale_row(room.scores + i * lds, padded<T>(n), room.inverse[i]);
      product_of_scores<T>(rows, p.e, n, {room.scores, lds, 1}, unpacked(p.v.at(k0 + t0, head), p.v.row),
                           t0 ? accumulate(o, out.row) : overwrite(o, out.row), shift);
    }
    if (!scale_scores)
      for (int64_t i = 0; i < rows; i++) scale_row(o + i * out.row, p.e, room.inverse[i]);
    T* to = lse + head * t_q + q0 + r0;
    for (int64_t i = 0; i < rows; i += L)
      store_n(to + i, load(room.top + i) + log(load(room.total + i)), rows - i < L ? rows - i : L);
  }
}

template <class T>
static void run_forward(const Problem<T>& p, Heads<T> out, T* lse, int64_t t_q) {
  auto rows_of = [&](int64_t s) { return int64_t(p.cu_q[s + 1] - p.cu_q[s]); };
  auto keys_of = [&](int64_t s) { return int64_t(p.cu_k[s + 1] - p.cu_k[s]); };
  auto parts_of = [&](int64_t s) {
    return rows_of(s) <= kKeys ? int64_t(1) : (rows_of(s) + kPartRows - 1) / kPartRows;
  };
  auto cost_of = [&](int64_t s) {
    return (double(rows_of(s)) * double(keys_of(s)) * (p.causal ? 0.5 : 1.0) + 4 * double(rows_of(s) + keys_of(s))) *
               double(p.d + p.e) +
           1000;
  };
  int64_t most_keys = 0;
  for (int64_t s = 0; s < p.sequences; s++) most_keys = keys_of(s) > most_keys ? keys_of(s) : most_keys;
  const size_t bytes = ForwardRoom<T>(p, most_keys, nullptr).bytes;
  run_plan(plan_work(p.sequences, p.heads, cost_of, parts_of), [&](int64_t s, int64_t head, int64_t part) {
    const ForwardRoom<T> room(p, most_keys, static_cast<char*>(thread_scratch(1, bytes)));
    const int64_t rows = rows_of(s), parts = parts_of(s), row0 = part * kPartRows,
                  row1 = part + 1 == parts ? rows : row0 + kPartRows;
    forward_unit(p, out, lse, t_q, s, head, row0, row1, room);
  });
}

} // namespace engine::ENGINE_ISA
