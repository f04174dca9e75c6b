// Attention: which tiles and which arithmetic, launches. The semantics are those of csrc/cpu/kernels/attention.cc.
//
// bfloat16 is multiplied as it is; float32 as matmul_precision() says: in float32, as tf32, or converted to bfloat16
// beforehand. The lengths of the sequences are never read here: a grid has room for any that add up to t.
#include <string>
#include <vector>

#include "cuda/device/attention_problem.cuh"
#include "cuda/launch.h"
#include "cuda/precision.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostHeadSize = 128;

template <class T>
AttentionMath math_of() {
  if (sizeof(T) == 2 || matmul_precision() == Precision::medium) return kMathBf16;
  return matmul_precision() == Precision::high ? kMathTf32 : kMathF32;
}

// One of a row's packed tensors of heads, and its name in errors.
AttentionHeads heads_of(const char* op, const char* argument, const Param& x, int64_t part = 0) {
  if (x.size(-1) > 1 && x.stride(-1) != 1 && x.numel() > 0)
    throw Error(ErrorKind::value, op, argument, "the elements of a head side by side",
                "a stride of " + std::to_string(x.stride(-1)));
  char* data = static_cast<char*>(x.v->data);
  if (part) data += part * x.stride(1) * item_size(x.dtype());
  return {data, x.stride(0), x.stride(-2)};
}

AttentionProblem problem_of(const char* op, const char* argument, int64_t t_q, int64_t t_k, int64_t heads, int64_t d,
                            int64_t e, const Param& cu_q, const Param& cu_k, double scale, bool causal,
                            double dropout_p, int64_t seed, int64_t call) {
  const auto expect = [&](const char* name, int64_t size) {
    if (size > kMostHeadSize)
      throw Error(ErrorKind::value, op, name, "a head size of at most 128 on CUDA", std::to_string(size));
  };
  expect(argument, d);
  expect("value", e);
  if (!(dropout_p >= 0 && dropout_p <= 1))
    throw Error(ErrorKind::value, op, "dropout_p", "a probability in [0, 1]", std::to_string(dropout_p));
  AttentionProblem p = {};
  p.cu_q = static_cast<const int32_t*>(cu_q.v->data);
  p.cu_k = static_cast<const int32_t*>(cu_k.v->data);
  p.sequences = int32_t(cu_q.size(0) - 1);
  p.heads = int32_t(heads);
  p.d = int32_t(d);
  p.e = int32_t(e);
  p.t_q = int32_t(t_q);
  p.t_k = int32_t(t_k);
  p.scale = float(scale);
  p.causal = causal;
  p.dropout = dropout_p > 0;
  p.threshold = uint32_t((1.0 - dropout_p) * 65536.0 + 0.5); // as keep_rule in csrc/cpu/philox.h
  p.drop_scale = !p.dropout ? 1.f : p.threshold ? float(65536.0 / p.threshold) : 0.f;
  p.k0 = uint32_t(seed);
  p.k1 = uint32_t(uint64_t(seed) >> 32);
  p.call = uint32_t(call);
  p.faults = faults();
  return p;
}

void add_mask(const char* op, AttentionProblem& p, const Opt& mask, DType dtype) {
  if (!mask) return;
  if (mask.dtype() != DType::boolean && mask.dtype() != dtype)
    throw Error(ErrorKind::value, op, "attn_mask", "bool or the dtype of query", "another dtype");
  if (mask.size(0) * mask.size(1) != int64_t(p.sequences) * p.heads)
    throw Error(ErrorKind::value, op, "attn_mask",
                std::to_string(p.sequences) + " sequences and " + std::to_string(p.heads) + " heads",
                std::to_string(mask.size(0)) + " and " + std::to_string(mask.size(1)));
  // All sequences have the mask's lengths. Those of the device are looked at there.
  if (mask.size(2) * p.sequences != p.t_q || mask.size(3) * p.sequences != p.t_k)
    throw Error(ErrorKind::value, op, "attn_mask",
                "a mask for " + std::to_string(p.t_q) + " queries and " + std::to_string(p.t_k) + " keys in " +
                    std::to_string(p.sequences) + " sequences",
                "one for " + std::to_string(mask.size(2)) + " and " + std::to_string(mask.size(3)) + " in each");
  p.mask = mask.v->data;
  p.mask_kind = mask.dtype() == DType::boolean ? kBoolMask : mask.dtype() == DType::f32 ? kFloatMask : kBf16Mask;
  p.mask_heads = int32_t(mask.size(1) ? mask.size(1) : 1);
  p.mask_q = int32_t(mask.size(2));
  p.mask_k = int32_t(mask.size(3));
  for (int i = 0; i < 4; i++) p.mask_stride[i] = mask.stride(i);
}

// An input as the tile loads need it: of their type, in 16-byte pieces at multiples of 16 bytes. Packed where it is
// not.
template <class T>
class Input {
 public:
  Input(AttentionHeads& x, AttentionMath math, int64_t t, int64_t heads, int64_t d)
      : room_(fits(x, math, d) ? 0 : size_t(t * heads * padded(math, d)) * (math == kMathBf16 ? 2 : 4)) {
    if (fits(x, math, d)) return;
    const int64_t width = padded(math, d), n = t * heads * width;
    const AttentionHeads to = {room_.data<void>(), heads * width, width};
    static const Kernel convert("attention", "attention_pack_f32_bf16"), move("attention", named<T>("attention_pack"));
    launch(sizeof(T) == 4 && math == kMathBf16 ? convert : move, {busy_blocks(n, 256)}, {256}, 0, x, to, t, int(heads),
           int(d));
    x = to;
  }

 private:
  static int64_t padded(AttentionMath math, int64_t d) { return math == kMathBf16 ? (d + 7) / 8 * 8 : (d + 3) / 4 * 4; }
  static bool fits(const AttentionHeads& x, AttentionMath math, int64_t d) {
    constexpr int64_t kEach = 16 / sizeof(T);
    return (math == kMathBf16) == (sizeof(T) == 2) && reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
           x.row % kEach == 0 && x.head % kEach == 0 && d % kEach == 0;
  }
  Scratch room_;
};

int width_of(const AttentionProblem& p) {
  const int most = p.d > p.e ? p.d : p.e;
  return most <= 32 ? 0 : most <= 64 ? 1 : 2;
}

// As many warps as an average sequence has rows for, fewer where that gives the device too little to do: a row's
// results do not depend on it. Raises slots to what they need.
int warps_for(AttentionProblem& p, AttentionTiles tiles, int64_t t) {
  const int64_t average = p.sequences ? t / p.sequences : 0;
  int warps = 1;
  while (warps < tiles.warps && warps * 16 * tiles.m < average) warps *= 2;
  const auto slots = [&] {
    const int64_t n = t / (warps * 16 * tiles.m) + p.sequences;
    return n > 0 ? n : 1;
  };
  while (warps > 1 && slots() * p.heads < current_device().multiprocessors) warps /= 2;
  p.slots = int32_t(slots());
  return warps;
}

constexpr int kWidths[] = {32, 64, 128};
constexpr const char *kImages[] = {"attention_bf16", "attention_tf32", "attention_f32"},
                     *kSuffixes[] = {"_bf16", "_tf32", "_f32"};
struct Instances { // of a kernel: by arithmetic and width
  std::vector<Kernel> of;
  explicit Instances(const std::string& name) {
    for (int math = 0; math < 3; math++)
      for (int width : kWidths) of.emplace_back(kImages[math], name + "_" + std::to_string(width) + kSuffixes[math]);
  }
};
void launch_tiles(const Instances& kernels, AttentionMath math, const AttentionProblem& p, int warps, int shared) {
  const int64_t grid = int64_t(p.slots) * p.heads;
  if (grid > 0x7fffffff)
    throw Error(ErrorKind::value, "attention", "query", "fewer than 2^31 blocks of tokens and heads",
                std::to_string(grid));
  launch(kernels.of[size_t(math * 3 + width_of(p))], {unsigned(grid)}, {unsigned(warps) * 32}, unsigned(shared), p);
}

template <class T>
void forward(AttentionProblem& p) {
  const AttentionMath math = math_of<T>();
  p.float_out = sizeof(T) == 4;
  const Input<T> q(p.q, math, p.t_q, p.heads, p.d), k(p.k, math, p.t_k, p.heads, p.d),
      v(p.v, math, p.t_k, p.heads, p.e);
  static const Instances kernels("attention");
  const int d = kWidths[width_of(p)], warps = warps_for(p, forward_tiles(math, d), p.t_q);
  launch_tiles(kernels, math, p, warps, forward_shared(math, d, warps));
}

template <class T>
void backward(AttentionProblem& p, const AttentionHeads& out) {
  const AttentionMath math = math_of<T>();
  p.float_out = sizeof(T) == 4;
  const int64_t rows = int64_t(p.t_q) * p.heads;
  const Scratch delta(size_t(rows) * 4);
  p.delta = delta.data<float>();
  static const Kernel sums("attention", named<T>("attention_delta"));
  launch(sums, {busy_blocks(rows, 32)}, {256}, 0, p.dout, out, delta.data<float>(), int64_t(p.t_q), int(p.heads),
         int(p.e));
  const Input<T> q(p.q, math, p.t_q, p.heads, p.d), k(p.k, math, p.t_k, p.heads, p.d),
      v(p.v, math, p.t_k, p.heads, p.e), dout(p.dout, math, p.t_q, p.heads, p.e);
  static const Instances by_queries("attention_dq"), by_keys("attention_dkv");
  const int d = kWidths[width_of(p)];
  const AttentionTiles tiles = backward_tiles(math, d);
  int warps = warps_for(p, tiles, p.t_q);
  launch_tiles(by_queries, math, p, warps, backward_shared(math, d, warps));
  warps = warps_for(p, tiles, p.t_k);
  launch_tiles(by_keys, math, p, warps, backward_shared(math, d, warps));
}

} // namespace

#define SITES(op)                                                            \
  static const int site_q = fault_site(op, "cu_seqlens", Wrong::cu_seqlens), \
                   site_k = fault_site(op, "cu_seqlens_k", Wrong::cu_seqlens)

template <class T>
void attention(In query, In key, In value, In cu_seqlens, In cu_seqlens_k, Opt attn_mask, double scale, bool is_causal,
               double dropout_p, int64_t seed, int64_t call, Out out, Out lse) {
  SITES("attention");
  AttentionProblem p = problem_of("attention", "query", query.size(0), key.size(0), query.size(1), query.size(2),
                                  value.size(2), cu_seqlens, cu_seqlens_k, scale, is_causal, dropout_p, seed, call);
  p.site_q = site_q;
  p.site_k = site_k;
  add_mask("attention", p, attn_mask, query.dtype());
  p.q = heads_of("attention", "query", query);
  p.k = heads_of("attention", "key", key);
  p.v = heads_of("attention", "value", value);
  p.out = heads_of("attention", "out", out);
  p.lse = lse.data<float>();
  forward<T>(p);
}

template <class T>
void attention_backward(In dout, In query, In key, In value, In out, In lse, In cu_seqlens, In cu_seqlens_k,
                        Opt attn_mask, double scale, bool is_causal, double dropout_p, int64_t seed, int64_t call,
                        Out dquery, Out dkey, Out dvalue) {
  const char* op = "attention_backward";
  SITES("attention_backward");
  AttentionProblem p = problem_of(op, "query", query.size(0), key.size(0), query.size(1), query.size(2), value.size(2),
                                  cu_seqlens, cu_seqlens_k, scale, is_causal, dropout_p, seed, call);
  p.site_q = site_q;
  p.site_k = site_k;
  add_mask(op, p, attn_mask, query.dtype());
  p.dout = heads_of(op, "dout", dout);
  p.q = heads_of(op, "query", query);
  p.k = heads_of(op, "key", key);
  p.v = heads_of(op, "value", value);
  p.dq = heads_of(op, "dquery", dquery);
  p.dk = heads_of(op, "dkey", dkey);
  p.dv = heads_of(op, "dvalue", dvalue);
  p.lse = const_cast<float*>(lse.data<float>());
  backward<T>(p, heads_of(op, "out", out));
}

// The same over one array of queries, keys and values side by side; so is its gradient.
template <class T>
void attention_qkv(In qkv, In cu_seqlens, double scale, bool is_causal, double dropout_p, int64_t seed, int64_t call,
                   Out out, Out lse) {
  const char* op = "attention_qkv";
  static const int site = fault_site("attention_qkv", "cu_seqlens", Wrong::cu_seqlens);
  AttentionProblem p = problem_of(op, "qkv", qkv.size(0), qkv.size(0), qkv.size(2), qkv.size(3), qkv.size(3),
                                  cu_seqlens, cu_seqlens, scale, is_causal, dropout_p, seed, call);
  p.site_q = p.site_k = site;
  p.q = heads_of(op, "qkv", qkv, 0);
  p.k = heads_of(op, "qkv", qkv, 1);
  p.v = heads_of(op, "qkv", qkv, 2);
  p.out = heads_of(op, "out", out);
  p.lse = lse.data<float>();
  forward<T>(p);
}

template <class T>
void attention_qkv_backward(In dout, In qkv, In out, In lse, In cu_seqlens, double scale, bool is_causal,
                            double dropout_p, int64_t seed, int64_t call, Out dqkv) {
  const char* op = "attention_qkv_backward";
  static const int site = fault_site("attention_qkv_backward", "cu_seqlens", Wrong::cu_seqlens);
  AttentionProblem p = problem_of(op, "qkv", qkv.size(0), qkv.size(0), qkv.size(2), qkv.size(3), qkv.size(3),
                                  cu_seqlens, cu_seqlens, scale, is_causal, dropout_p, seed, call);
  p.site_q = p.site_k = site;
  p.dout = heads_of(op, "dout", dout);
  p.q = heads_of(op, "qkv", qkv, 0);
  p.k = heads_of(op, "qkv", qkv, 1);
  p.v = heads_of(op, "qkv", qkv, 2);
  p.dq = heads_of(op, "dqkv", dqkv, 0);
  p.dk = heads_of(op, "dqkv", dqkv, 1);
  p.dv = heads_of(op, "dqkv", dqkv, 2);
  p.lse = const_cast<float*>(lse.data<float>());
  backward<T>(p, heads_of(op, "out", out));
}

} // namespace engine::cuda

#define FAMILY attention
#include "cuda/instances.h"
