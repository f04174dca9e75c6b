// Attention over sequences that lie back to back: forward and backward.
//
//   out[i] = sum over j of softmax(scale * q[i] . k[j] + mask[i, j])[j] * v[j],   i, j within one sequence and head
//
// q is (t_q, h, d), k (t_k, h, d), v (t_k, h, e); sequence s owns the tokens [cu_seqlens[s], cu_seqlens[s + 1]). The
// forward keeps the log of each row's sum of exponentials, lse (h, t_q); the backward recomputes the probabilities from
// it, so that nothing of size length x length is ever stored. Causal: key j takes part in row i where j <= i (top
// left). A row that sees no key gives zeros, lse = -inf and no gradient. Dropout acts on the probabilities, after the
// softmax's sum.
//
// The unit of work is one sequence and head; long ones are cut into parts by a rule on shapes alone. A unit goes
// through blocks of kRows query rows. Method: Dao et al. 2022, arXiv 2205.14135 (tiling, lse, recomputation).
#include "cpu/attention.h"
#include "cpu/table.h"

namespace engine::ENGINE_ISA {

constexpr int64_t kRows = 48;  // query rows of a block
constexpr int64_t kKeys = 512; // keys of a forward tile: up to so many, a row's scores are whole and never rescaled
constexpr int64_t kBackwardKeys = 128; // keys of a backward tile
constexpr int64_t kPartRows = 384;     // the forward of longer sequences is cut into parts of so many query rows
constexpr int64_t kApart = 16;         // elements between rows of scores, so that they do not share one cache set

template <class T>
constexpr T kInf = T(__builtin_inf());

template <class T>
ENGINE_INLINE
V<T> lanes_below(int64_t n, V<T> x, T other) { // x in the first n lanes
  using I = typename Integer<T>::type;
  Bits<T> iota;
  for (int i = 0; i < kLanes<T>; i++) iota[i] = I(i);
  return iota < broadcast(I(n < kLanes<T> ? n : kLanes<T>)) ? x : broadcast(other);
}

// e^x for x <= 0 (a rounding above it does no harm).
ENGINE_INLINE
f32 exp_falling(f32 x) { return exp_inside(max(broadcast(-104.0f), x)); }
ENGINE_INLINE
f64 exp_falling(f64 x) { return exp(x); }

template <class T>
static void scale_row(T* x, int64_t n, T factor) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(factor);
  int64_t i = 0;
  for (; i + L <= n; i += L) store(x + i, load(x + i) * f);
  if (i < n) store_n(x + i, load_n(x + i, n - i) * f, n - i);
}

template <class T>
static T dot(const T* a, const T* b, int64_t n) {
  constexpr int L = kLanes<T>;
  V<T> total = zero<T>();
  for (int64_t i = 0; i < n; i += L) {
    const int64_t count = n - i < L ? n - i : L;
    total = fma(load_n(a + i, count), load_n(b + i, count), total);
  }
  return sum(total);
}

// How many keys of a tile row i of a block sees.
ENGINE_INLINE
int64_t keys_seen(int64_t i, int64_t shift, int64_t n) {
  const int64_t seen = i + shift + 1;
  return seen >= n ? n : seen > 0 ? seen : 0;
}

// ---------------------------------------------------------------- forward

template <class T>
struct ForwardRoom {
  T *keys, *scores, *bias, *top, *total;
  typename Integer<T>::type* keep;
  size_t bytes;
  ForwardRoom(const Problem<T>& p, int64_t most_keys, char* base) {
    Pieces pieces{base};
    const int64_t tile = most_keys < kKeys ? most_keys : kKeys;
    keys = pieces.take<T>(packed_size<T>(p.d, most_keys));
    scores = pieces.take<T>(kRows * (padded<T>(tile) + kApart));
    bias = pieces.take<T>(padded<T>(tile));
    top = pieces.take<T>(padded<T>(kRows));
    total = pieces.take<T>(padded<T>(kRows));
    keep = pieces.take<typename Integer<T>::type>(kKeys);
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
static T highest_of(const T* s, int64_t n) {
  constexpr int L = kLanes<T>;
  V<T> top = broadcast(-kInf<T>), second = top;
  int64_t j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {
    top = max(load(s + j), top);
    second = max(load(s + j + L), second);
  }
  for (; j < n; j += L) top = max(lanes_below(n - j, load(s + j), -kInf<T>), top);
  return highest(max(top, second));
}

// s = exp(scale * s - top) for n scores, zeros behind them up to `width`; returns the sum. What is dropped becomes zero
// after.
template <class T, bool kDrop>
static T exponentials(T* s, T scale, T top, int64_t n, int64_t width, const typename Integer<T>::type* keep) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(scale), low = broadcast(-top);
  V<T> total = zero<T>();
  auto put = [&](int64_t j, V<T> p) __attribute__((always_inline)) {
    total += p;
    store(s + j, kDrop ? (V<T>)((Bits<T>)p & load(keep + j)) : p);
  };
  int64_t j = 0;
  for (; j + L <= n; j += L) put(j, exp_falling(fma(load(s + j), f, low)));
  if (j < n) {
    put(j, lanes_below(n - j, exp_falling(fma(load(s + j), f, low)), T(0)));
    j += L;
  }
  for (; j < width; j += L) store(s + j, zero<T>());
  return sum(total);
}

// Rows [row0, row1) of one sequence and head.
template <class T>
static void forward_unit(const Problem<T>& p, Heads<T> out, T* lse, int64_t t_q, int64_t s, int64_t head, int64_t row0,
                         int64_t row1, const ForwardRoom<T>& room) {
  const int64_t q0 = p.cu_q[s], k0 = p.cu_k[s], all_keys = p.cu_k[s + 1] - k0, unit = s * p.heads + head;
  const int64_t keys = p.causal && row1 < all_keys ? row1 : all_keys; // those that any of the rows sees
  pack_columns(p.d, keys, p.k.at(k0, head), p.k.row, room.keys);
  const int64_t lds = padded<T>(keys < kKeys ? keys : kKeys) + kApart;
  for (int64_t r0 = row0; r0 < row1; r0 += kRows) {
    const int64_t rows = row1 - r0 < kRows ? row1 - r0 : kRows, end = p.causal && r0 + rows < keys ? r0 + rows : keys;
    const bool one_tile = end <= kKeys,
               scale_scores = one_tile && end <= p.e; // where the division by the sum is cheaper
    T* o = out.at(q0 + r0, head);
    for (int64_t t0 = 0; t0 == 0 || t0 < end; t0 += kKeys) {
      const int64_t n = end - t0 < kKeys ? end - t0 : kKeys, width = padded<T>(n),
                    shift = p.causal ? r0 - t0 : kNotCausal;
      product_to_scores<T>(rows, n, p.d, {p.q.at(q0 + r0, head), p.q.row, 1}, packed(room.keys + t0 * p.d, p.d),
                           overwrite(room.scores, lds), shift);
      for (int64_t i = 0; i < rows; i++) {
        T *score = room.scores + i * lds, scale = p.scale;
        const int64_t seen = keys_seen(i, shift, n);
        if (p.mask.data || scale < 0) {
          add_bias(score, scale, p.mask.data ? bias_row(p.mask, unit, r0 + i, t0, seen, room.bias) : nullptr, seen);
          scale = 1;
        }
        const T before = t0 ? room.top[i] : -kInf<T>, found = scale * highest_of(score, seen),
                top = found > before ? found : before;
        T total;
        if (seen == 0 || top == -kInf<T>) { // no key yet that takes part
          total = exponentials<T, false>(score, scale, top, 0, width, nullptr);
        } else if (p.dropout.on) {
          keep_row<T>(p.dropout, unit, r0 + i, t0, seen, room.keep);
          total = exponentials<T, true>(score, scale, top, seen, width, room.keep);
        } else {
          total = exponentials<T, false>(score, scale, top, seen, width, nullptr);
        }
        if (t0 && before != -kInf<T>) {
          const T shrink = exp_falling(broadcast(before - top))[0];
          total += room.total[i] * shrink;
          if (shrink != 1) scale_row(o + i * out.row, p.e, shrink);
        }
        room.top[i] = top;
        room.total[i] = total;
        if (scale_scores && total != 0) scale_row(score, width, T(p.dropout.scale) / total);
      }
      const T* v = p.v.at(k0 + t0, head);
      product_of_scores<T>(rows, p.e, n, {room.scores, lds, 1}, unpacked(v, p.v.row),
                           t0 ? accumulate(o, out.row) : overwrite(o, out.row), shift);
    }
    if (!scale_scores)
      for (int64_t i = 0; i < rows; i++)
        if (room.total[i] != 0) scale_row(o + i * out.row, p.e, T(p.dropout.scale) / room.total[i]);
    T* rows_lse = lse + head * t_q + q0 + r0;
    for (int64_t i = 0; i < rows; i += kLanes<T>)
      store_n(rows_lse + i, load(room.top + i) + log(load(room.total + i)),
              rows - i < kLanes<T> ? rows - i : kLanes<T>);
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

// ---------------------------------------------------------------- backward

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
    keep = pieces.take<typename Integer<T>::type>(kBackwardKeys);
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
          keep_row<T>(p.dropout, unit, r0 + i, t0, seen, room.keep);
          backward_row<T, true>(score, dprob, p.scale, bias, row_lse, delta, T(p.dropout.scale), seen, width,
                                room.keep);
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

// ---------------------------------------------------------------- the rows of kernels.def

static Dropout dropout_of(const char* op, double p, int64_t seed, int64_t call) {
  if (!(p >= 0 && p <= 1)) raise_value("[%s] dropout_p: expected a probability in [0, 1], got %g", op, p);
  Dropout drop;
  drop.on = p > 0;
  drop.p = p;
  drop.scale = keep_rule(p).scale;
  drop.seed = seed;
  drop.call = call;
  return drop;
}

template <class T>
static Heads<const T> heads_of(const char* op, const char* arg, In x, int64_t skip) {
  if (x.size(-1) > 1 && x.stride(-1) != 1)
    raise_value("[%s] %s: expected elements of a head side by side, got a stride of %lld", op, arg,
                (long long)x.stride(-1));
  return {x.data<T>() + (skip ? skip * x.stride(1) : 0), x.stride(0), x.stride(-2)};
}

template <class T>
static Problem<T> problem_of(const char* op, In query, In key, In value, In cu_q, In cu_k, Opt mask, double scale,
                             bool causal, Dropout dropout) {
  Problem<T> p;
  p.q = heads_of<T>(op, "query", query, 0);
  p.k = heads_of<T>(op, "key", key, 0);
  p.v = heads_of<T>(op, "value", value, 0);
  p.cu_q = cu_q.data<int32_t>();
  p.cu_k = cu_k.data<int32_t>();
  p.sequences = cu_q.size(0) - 1;
  p.heads = query.size(1);
  p.d = query.size(2);
  p.e = value.size(2);
  p.scale = T(scale);
  p.causal = causal;
  p.dropout = dropout;
  check_cu_seqlens(op, "cu_seqlens", p.cu_q, p.sequences, query.size(0));
  check_cu_seqlens(op, "cu_seqlens_k", p.cu_k, p.sequences, key.size(0));
  if (!mask) return p;
  p.mask.boolean = mask.dtype() == DType::boolean;
  if (!p.mask.boolean && mask.dtype() != query.dtype())
    raise_value("[%s] attn_mask: expected bool or the dtype of query, got another", op);
  if (mask.size(0) * mask.size(1) != p.sequences * p.heads)
    raise_value("[%s] attn_mask: expected %lld sequences and heads, got (%lld, %lld)", op,
                (long long)(p.sequences * p.heads), (long long)mask.size(0), (long long)mask.size(1));
  for (int64_t s = 0; s < p.sequences; s++)
    if (p.cu_q[s + 1] - p.cu_q[s] != mask.size(2) || p.cu_k[s + 1] - p.cu_k[s] != mask.size(3))
      raise_value("[%s] attn_mask: expected sequences of %lld queries and %lld keys, got another length at %lld", op,
                  (long long)mask.size(2), (long long)mask.size(3), (long long)s);
  p.mask.data = mask.v->data;
  p.mask.heads = mask.size(1);
  for (int i = 0; i < 4; i++) p.mask.stride[i] = mask.stride(i);
  return p;
}

template <class T>
void attention(In query, In key, In value, In cu_seqlens, In cu_seqlens_k, Opt attn_mask, double scale, bool is_causal,
               double dropout_p, int64_t seed, int64_t call, Out out, Out lse) {
  const Problem<T> p = problem_of<T>("attention", query, key, value, cu_seqlens, cu_seqlens_k, attn_mask, scale,
                                     is_causal, dropout_of("attention", dropout_p, seed, call));
  run_forward<T>(p, {out.data<T>(), out.stride(0), out.stride(1)}, lse.data<T>(), query.size(0));
}

template <class T>
void attention_backward(In dout, In query, In key, In value, In out, In lse, In cu_seqlens, In cu_seqlens_k,
                        Opt attn_mask, double scale, bool is_causal, double dropout_p, int64_t seed, int64_t call,
                        Out dquery, Out dkey, Out dvalue) {
  const Problem<T> p = problem_of<T>("attention_backward", query, key, value, cu_seqlens, cu_seqlens_k, attn_mask,
                                     scale, is_causal, dropout_of("attention_backward", dropout_p, seed, call));
  Gradients<T> g;
  g.out = heads_of<T>("attention_backward", "out", out, 0);
  g.dout = heads_of<T>("attention_backward", "dout", dout, 0);
  g.dq = {dquery.data<T>(), dquery.stride(0), dquery.stride(1)};
  g.dk = {dkey.data<T>(), dkey.stride(0), dkey.stride(1)};
  g.dv = {dvalue.data<T>(), dvalue.stride(0), dvalue.stride(1)};
  g.lse = lse.data<T>();
  g.t_q = query.size(0);
  run_backward<T>(p, g);
}

// The same over one array of queries, keys and values side by side, as one projection makes it; so is its gradient.
template <class T>
static Problem<T> problem_of(const char* op, In qkv, In cu, double scale, bool causal, Dropout dropout) {
  Problem<T> p;
  p.q = heads_of<T>(op, "qkv", qkv, 0);
  p.k = heads_of<T>(op, "qkv", qkv, 1);
  p.v = heads_of<T>(op, "qkv", qkv, 2);
  p.cu_q = p.cu_k = cu.data<int32_t>();
  p.sequences = cu.size(0) - 1;
  p.heads = qkv.size(2);
  p.d = p.e = qkv.size(3);
  p.scale = T(scale);
  p.causal = causal;
  p.dropout = dropout;
  check_cu_seqlens(op, "cu_seqlens", p.cu_q, p.sequences, qkv.size(0));
  return p;
}

template <class T>
void attention_qkv(In qkv, In cu_seqlens, double scale, bool is_causal, double dropout_p, int64_t seed, int64_t call,
                   Out out, Out lse) {
  const Problem<T> p = problem_of<T>("attention_qkv", qkv, cu_seqlens, scale, is_causal,
                                     dropout_of("attention_qkv", dropout_p, seed, call));
  run_forward<T>(p, {out.data<T>(), out.stride(0), out.stride(1)}, lse.data<T>(), qkv.size(0));
}

template <class T>
void attention_qkv_backward(In dout, In qkv, In out, In lse, In cu_seqlens, double scale, bool is_causal,
                            double dropout_p, int64_t seed, int64_t call, Out dqkv) {
  const Problem<T> p = problem_of<T>("attention_qkv_backward", qkv, cu_seqlens, scale, is_causal,
                                     dropout_of("attention_qkv_backward", dropout_p, seed, call));
  Gradients<T> g;
  g.out = heads_of<T>("attention_qkv_backward", "out", out, 0);
  g.dout = heads_of<T>("attention_qkv_backward", "dout", dout, 0);
  auto part = [&](int64_t i) { return Heads<T>{dqkv.data<T>() + i * dqkv.stride(1), dqkv.stride(0), dqkv.stride(2)}; };
  g.dq = part(0);
  g.dk = part(1);
  g.dv = part(2);
  g.lse = lse.data<T>();
  g.t_q = qkv.size(0);
  run_backward<T>(p, g);
}

} // namespace engine::ENGINE_ISA

#define FAMILY attention
#include "cpu/instances.h"
