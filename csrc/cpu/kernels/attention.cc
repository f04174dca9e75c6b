// Attention over sequences that are stored back to back: forward and backward.
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
#include "core/view.h"
#include "cpu/attention_backward.h"
#include "cpu/attention_forward.h"

namespace engine::ENGINE_ISA {

static Dropout dropout_of(const char* op, double p, int64_t seed, int64_t call) {
  if (!(p >= 0 && p <= 1)) raise_value(op, "dropout_p", "a probability in [0, 1]", Text("%g", p));
  Dropout drop;
  drop.on = p > 0;
  drop.threshold = keep_rule(p).threshold;
  drop.scale = keep_rule(p).scale;
  drop.seed = seed;
  drop.call = call;
  return drop;
}

template <class T>
static Heads<const T> heads_of(const char* op, const char* arg, In x, int64_t skip) {
  if (x.size(-1) > 1 && x.stride(-1) != 1 && x.numel() > 0)
    raise_value(op, arg, "the elements of a head side by side", Text("a stride of %lld", (long long)x.stride(-1)));
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
    raise_value(op, "attn_mask", "bool or the dtype of query", "another dtype");
  if (mask.size(0) * mask.size(1) != p.sequences * p.heads)
    raise_value(op, "attn_mask", Text("%lld sequences and %lld heads", (long long)p.sequences, (long long)p.heads),
                Text("%lld and %lld", (long long)mask.size(0), (long long)mask.size(1)));
  for (int64_t s = 0; s < p.sequences; s++)
    if (p.cu_q[s + 1] - p.cu_q[s] != mask.size(2) || p.cu_k[s + 1] - p.cu_k[s] != mask.size(3))
      raise_value(op, "attn_mask",
                  Text("a mask for sequences of %lld queries and %lld keys", (long long)(p.cu_q[s + 1] - p.cu_q[s]),
                       (long long)(p.cu_k[s + 1] - p.cu_k[s])),
                  Text("one for %lld and %lld at sequence %lld", (long long)mask.size(2), (long long)mask.size(3),
                       (long long)s));
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
