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
  BackwardRoom(const Problem<T>& p, int64_t most_rows, char* base) {
    Pieces pieces{base};
    keys = pieces.take<T>(packed_size<T>(p.d, kBackwardKeys));
    values = pieces.take<T>(packed_size<T>(p.e, kBackwardKeys));
    scores = pieces.take<T>(kRows * (kBackwardKeys + kApart));
    dprobs = pieces.take<T>(kRows * (kBackwardKeys + kApart));
    bias = pieces.take<T>(kBackwardKeys);
    lse = pieces.take<T>(most_rows);
    delta = pieces.take<T>(most_rows);
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
  auto put = [&](int64_t j, int64_t count) __attribute__((always_inline)) {
    V<T> x = fma(load(s + j), f, low), g = load(dp + j);
    if (bias) x += load_n(bias + j, count);
    V<T> p = exp_falling(x);
    if (count < L) {
      p = lanes_below(count, p, T(0));
      g = lanes_below(count, g, T(0));
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

template <class T>
static void backward_unit(const Problem<T>& p, const Gradients<T>& g, int64_t s, int64_t head,
                          const BackwardRoom<T>& room) {
  const int64_t q0 = p.cu_q[s], k0 = p.cu_k[s], queries = p.cu_q[s + 1] - q0, all_keys = p.cu_k[s + 1] - k0,
                unit = s * p.heads + head;
  if (all_keys == 0) return clear_rows(g.dq, q0, head, queries, p.d);
  const T* lse = g.lse + head * g.t_q + q0;
  for (int64_t i = 0; i < queries; i++) {
    room.lse[i] = lse[i] == -kInf<T> ? kInf<T> : lse[i]; // a row that saw nothing: exp(s - inf) = 0
    room.delta[i] = dot(g.dout.at(q0 + i, head), g.out.at(q0 + i, head), p.e);
  }
  for (int64_t t0 = 0; t0 < all_keys; t0 += kBackwardKeys) {
    const int64_t n = all_keys - t0 < kBackwardKeys ? all_keys - t0 : kBackwardKeys, width = padded<T>(n),
                  lds = width + kApart;
    const int64_t first = p.causal ? t0 / kRows * kRows : 0; // the first block that sees these keys
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
      auto into = [&](Heads<T> x, int64_t token, bool more) {
        return more ? accumulate(x.at(token, head), x.row) : overwrite(x.at(token, head), x.row);
      };
      product_of_transposed<T>(n, p.e, rows, {room.scores, 1, lds}, unpacked(dout, g.dout.row),
                               into(g.dv, k0 + t0, r0 > first), shift);
      product_of_transposed<T>(n, p.d, rows, {room.dprobs, 1, lds}, unpacked(q, p.q.row),
                               into(g.dk, k0 + t0, r0 > first), shift);
      product_of_scores<T>(rows, p.d, n, {room.dprobs, lds, 1}, unpacked(k, p.k.row), into(g.dq, q0 + r0, t0 > 0),
                           shift);
    }
  }
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
  int64_t most_rows = 0;
  for (int64_t s = 0; s < p.sequences; s++) most_rows = rows_of(s) > most_rows ? rows_of(s) : most_rows;
  const size_t bytes = BackwardRoom<T>(p, most_rows, nullptr).bytes;
  run_plan(plan_work(p.sequences, p.heads, cost_of, [](int64_t) { return int64_t(1); }),
           [&](int64_t s, int64_t head, int64_t) {
             backward_unit(p, g, s, head, BackwardRoom<T>(p, most_rows, static_cast<char*>(thread_scratch(1, bytes))));
           });
}

} // namespace engine::ENGINE_ISA
