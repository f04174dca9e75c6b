// Attention's backward; see csrc/cpu/kernels/attention.cc.
#pragma once
#include "cpu/attention.h"

namespace engine::ENGINE_ISA {

// With P the probabilities, M the dropout's factors and D = rowsum(dO * O):
//   dV = (P * M)^T dO,  dS = scale * P * (M * dO V^T - D),  dQ = dS K,  dK = dS^T Q
template <class T>
struct Gradients {
  Heads<const T> out, dout;
  Heads<T> dq, dk, dv;
  const T* lse;
  int64_t t_q;
};

template <class T>
struct BackwardRoom {
  T *keys, *values, *scores, *dprobs, *bias, *lse, *delta;
  typename Integer<T>::type* keep;
  size_t bytes;
  BackwardRoom(const Problem<T>& p, int64_t most_queries, char* base) {
    Pieces pieces{base};
    keys = pieces.take<T>(packed_size<T>(p.d, kBackwardKeys));
    values = pieces.take<T>(packed_size<T>(p.e, kBackwardKeys));
    scores = pieces.take<T>(kRows * (kBackwardKeys + kApart));
    dprobs = pieces.take<T>(kRows * (kBackwardKeys + kApart));
    bias = pieces.take<T>(kBackwardKeys);
    lse = pieces.take<T>(most_queries);
    delta = pieces.take<T>(most_queries);
    keep = pieces.take<typename Integer<T>::type>(kDrawRows * kBackwardKeys);
    bytes = pieces.used;
  }
};

// A row's scores become P * M, its dO V^T becomes dS, for n keys; zeros behind them up to `width`.
template <class T, bool kDrop>
static void backward_row(T* s, T* dp, T scale, const T* bias, T lse, T delta, T drop_scale, int64_t n, int64_t width,
                         const typename Integer<T>::type* keep) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(scale), low = broadcast(-lse), vd = broadcast(delta), vm = broadcast(drop_scale);
  auto put = [&](int64_t j, int64_t count) ENGINE_LAMBDA {
    V<T> x = fma(load(s + j), f, low), g = load(dp + j);
    if (bias) x += load_n(bias + j, count);
    V<T> p = exp_falling(x);
    if (count < L) {
      p = first_lanes(p, count, T(0));
      g = first_lanes(g, count, T(0));
    }
    if constexpr (kDrop) {
      const Bits<T> kept = load(keep + j);
      g = (V<T>)((Bits<T>)g & kept) * vm;
      store(s + j, (V<T>)((Bits<T>)p & kept) * vm);
    } else {
      store(s + j, p);
    }
    store(dp + j, p * f * (g - vd));
  };
  int64_t j = 0;
  for (; j + L <= n; j += L) put(j, L);
  if (j < n) {
    put(j, n - j);
    j += L;
  }
  for (; j < width; j += L) {
    store(s + j, zero<T>());
    store(dp + j, zero<T>());
  }
}

template <class T>
static void clear_rows(Heads<T> x, int64_t token, int64_t head, int64_t n, int64_t d) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < d; c++) x.at(token + i, head)[c] = 0;
}

// The first block of rows that sees keys from t0 on.
template <class T>
static int64_t first_row(const Problem<T>& p, int64_t t0) {
  return p.causal ? t0 / kRows * kRows : 0;
}

// What the keys [key0, key1) of one sequence and head give: their dk and dv, and their part of dq. `partial`: where
// dq's part goes as (queries, padded(d)), rows before first_row(key0) left alone; null: it is all of dq and goes there.
template <class T>
static void backward_unit(const Problem<T>& p, const Gradients<T>& g, int64_t s, int64_t head, int64_t key0,
                          int64_t key1, T* partial, const BackwardRoom<T>& room) {
  const int64_t q0 = p.cu_q[s], k0 = p.cu_k[s], queries = p.cu_q[s + 1] - q0, unit = s * p.heads + head;
  if (key1 == key0) return clear_rows(g.dq, q0, head, queries, p.d);
  const Rows<T> dq = partial ? Rows<T>{partial, padded<T>(p.d)} : Rows<T>{g.dq.at(q0, head), g.dq.row};
  const T* lse = g.lse + head * g.t_q + q0;
  ask_for(p.q, q0, queries, head, p.d);
  ask_for(p.k, k0 + key0, key1 - key0, head, p.d);
  ask_for(p.v, k0 + key0, key1 - key0, head, p.e);
  ask_for(g.dv, k0 + key0, key1 - key0, head, p.e);
  ask_for(g.dk, k0 + key0, key1 - key0, head, p.d);
  if (!partial) ask_for(g.dq, q0, queries, head, p.d);
  for (int64_t i = first_row(p, key0); i < queries; i++) {
    room.lse[i] = lse[i] == -kInf<T> ? kInf<T> : lse[i]; // a row that saw nothing: exp(s - inf) = 0
    room.delta[i] = row_dot(g.dout.at(q0 + i, head), g.out.at(q0 + i, head), p.e);
  }
  for (int64_t t0 = key0; t0 < key1; t0 += kBackwardKeys) {
    const int64_t n = key1 - t0 < kBackwardKeys ? key1 - t0 : kBackwardKeys, width = padded<T>(n), lds = width + kApart;
    const int64_t first = first_row(p, t0);
    if (first >= queries) {
      clear_rows(g.dk, k0 + t0, head, n, p.d);
      clear_rows(g.dv, k0 + t0, head, n, p.e);
      continue;
    }
    const T *k = p.k.at(k0 + t0, head), *v = p.v.at(k0 + t0, head);
    pack_columns(p.d, n, k, p.k.row, room.keys);
    pack_columns(p.e, n, v, p.v.row, room.values);
    for (int64_t r0 = first; r0 < queries; r0 += kRows) {
      const int64_t rows = queries - r0 < kRows ? queries - r0 : kRows, shift = p.causal ? r0 - t0 : kNotCausal;
      const T *q = p.q.at(q0 + r0, head), *dout = g.dout.at(q0 + r0, head);
      product_to_scores<T>(rows, n, p.d, {q, p.q.row, 1}, packed(room.keys, p.d), overwrite(room.scores, lds), shift);
      product_to_scores<T>(rows, n, p.e, {dout, g.dout.row, 1}, packed(room.values, p.e), overwrite(room.dprobs, lds),
                           shift);
      for (int64_t i = 0; i < rows; i++) {
        T *score = room.scores + i * lds, *dprob = room.dprobs + i * lds;
        const int64_t seen = keys_seen(i, shift, n);
        const T* bias = p.mask.data ? bias_row(p.mask, unit, r0 + i, t0, seen, room.bias) : nullptr;
        const T row_lse = room.lse[r0 + i], delta = room.delta[r0 + i];
        if (p.dropout.on) {
          if (i % kDrawRows == 0)
            keep_rows<T>(p.dropout, unit, r0 + i, t0, keys_seen(i + kDrawRows - 1, shift, n), room.keep, kBackwardKeys);
          backward_row<T, true>(score, dprob, p.scale, bias, row_lse, delta, T(p.dropout.scale), seen, width,
                                room.keep + i % kDrawRows * kBackwardKeys);
        } else {
          backward_row<T, false>(score, dprob, p.scale, bias, row_lse, delta, T(1), seen, width, nullptr);
        }
      }
      auto add = [](T* x, int64_t row, bool more) { return more ? accumulate(x, row) : overwrite(x, row); };
      product_of_transposed<T>(n, p.e, rows, {room.scores, 1, lds}, unpacked(dout, g.dout.row),
                               add(g.dv.at(k0 + t0, head), g.dv.row, r0 > first), shift);
      product_of_transposed<T>(n, p.d, rows, {room.dprobs, 1, lds}, unpacked(q, p.q.row),
                               add(g.dk.at(k0 + t0, head), g.dk.row, r0 > first), shift);
      product_of_scores<T>(rows, p.d, n, {room.dprobs, lds, 1}, unpacked(k, p.k.row),
                           add(dq.data + r0 * dq.row, dq.row, t0 > key0), shift);
    }
  }
}

// dq of one sequence and head = the sum of its parts, in their order.
template <class T, class KeyOf>
static void add_parts(const Problem<T>& p, const Gradients<T>& g, int64_t s, int64_t head, T* partial, int64_t parts,
                      const KeyOf& first_key) {
  constexpr int L = kLanes<T>;
  const int64_t queries = p.cu_q[s + 1] - p.cu_q[s], width = padded<T>(p.d), size = queries * width;
  for (int64_t part = 1; part < parts; part++)
    for (int64_t i = first_row(p, first_key(part)) * width; i < size; i += L)
      store(partial + i, load(partial + i) + load(partial + part * size + i));
  scatter(partial, queries, p.d, g.dq.at(p.cu_q[s], head), g.dq.row);
}

template <class T>
static void run_backward(const Problem<T>& p, const Gradients<T>& g) {
  auto rows_of = [&](int64_t s) { return int64_t(p.cu_q[s + 1] - p.cu_q[s]); };
  auto keys_of = [&](int64_t s) { return int64_t(p.cu_k[s + 1] - p.cu_k[s]); };
  auto cost_of = [&](int64_t s) {
    return (double(rows_of(s)) * double(keys_of(s)) * (p.causal ? 1.25 : 2.5) + 8 * double(rows_of(s) + keys_of(s))) *
               double(p.d + p.e) +
           2000;
  };
  double all = 0;
  int64_t most_queries = 0;
  for (int64_t s = 0; s < p.sequences; s++) {
    all += cost_of(s) * double(p.heads);
    most_queries = rows_of(s) > most_queries ? rows_of(s) : most_queries;
  }
  // A long sequence's keys are cut into parts where it makes up much of the work: parts of dq are added up afterwards.
  auto parts_of = [&](int64_t s) {
    const int64_t longest = keys_of(s) / kPartKeys, wanted = int64_t(kShares * cost_of(s) / all);
    const int64_t parts = longest < wanted ? longest : wanted;
    return parts > 1 ? parts : 1;
  };
  auto key_of = [&](int64_t s, int64_t part) { // where a part begins
    const int64_t tiles = (keys_of(s) + kBackwardKeys - 1) / kBackwardKeys, parts = parts_of(s);
    return part == parts ? keys_of(s) : tiles * part / parts * kBackwardKeys;
  };
  int64_t* place = static_cast<int64_t*>(thread_scratch(2, size_t(p.sequences) * sizeof(int64_t)));
  int64_t partial_size = 0;
  for (int64_t s = 0; s < p.sequences; s++) {
    place[s] = partial_size;
    if (parts_of(s) > 1) partial_size += p.heads * parts_of(s) * rows_of(s) * padded<T>(p.d);
  }
  T* partials = partial_size ? static_cast<T*>(thread_scratch(3, size_t(partial_size) * sizeof(T))) : nullptr;
  auto partial_of = [&](int64_t s, int64_t head, int64_t part) {
    return partials + place[s] + (head * parts_of(s) + part) * rows_of(s) * padded<T>(p.d);
  };
  const size_t bytes = BackwardRoom<T>(p, most_queries, nullptr).bytes;
  run_plan(plan_work(p.sequences, p.heads, cost_of, parts_of), [&](int64_t s, int64_t head, int64_t part) {
    const BackwardRoom<T> room(p, most_queries, static_cast<char*>(thread_scratch(1, bytes)));
    backward_unit(p, g, s, head, key_of(s, part), key_of(s, part + 1),
                  parts_of(s) > 1 ? partial_of(s, head, part) : nullptr, room);
  });
  if (partials)
    parallel_for(p.sequences * p.heads, [&](int64_t i) {
      const int64_t s = i / p.heads, head = i % p.heads, parts = parts_of(s);
      if (parts > 1)
        add_parts(p, g, s, head, partial_of(s, head, 0), parts, [&](int64_t part) { return key_of(s, part); });
    });
}

} // namespace engine::ENGINE_ISA
