// What each instruction does, on 32 lanes at a time. Registers are arrays of 32 lanes at an offset in the warp's file.
// Arithmetic is found in a table by "name.type" after the modifiers that change nothing here (.rn .approx .ftz .uni …)
// have been dropped; the rest is decoded one by one. Denormals are kept where .ftz would flush them, and the .approx
// functions are more exact than the hardware's.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include "parser.h"

namespace sim {
#define LANES                  \
  for (int l = 0; l < 32; ++l) \
    if (m >> l & 1)
static std::unordered_map<string, Fn> T;

// ------------------------------------------------------------ number formats
static inline f32 bits_f(u32 u) {
  f32 f;
  memcpy(&f, &u, 4);
  return f;
}
static inline u32 f_bits(f32 f) {
  u32 u;
  memcpy(&u, &f, 4);
  return u;
}
static inline f64 bits_d(u64 u) {
  f64 f;
  memcpy(&f, &u, 8);
  return f;
}
static inline u64 d_bits(f64 f) {
  u64 u;
  memcpy(&u, &f, 8);
  return u;
}
struct Half {
  u16 b;
  operator f32() const {
    _Float16 h;
    memcpy(&h, &b, 2);
    return (f32)h;
  }
  static Half of(f64 d) {
    _Float16 h = (_Float16)d;
    Half r;
    memcpy(&r.b, &h, 2);
    return r;
  }
};
struct Bf {
  u16 b;
  operator f32() const { return bits_f((u32)b << 16); }
  static Bf of(f64 d) { // round to odd in f32 first, so that the second rounding is right
    f32 f = (f32)d;
    u32 u = f_bits(f);
    if (f != f) return {0x7fff};
    if ((f64)f != d && std::isfinite(f)) {
      if (std::fabs((f64)f) > std::fabs(d)) --u;
      u |= 1;
    }
    return {(u16)((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
  }
};
template <class H>
struct Pair {
  H lo, hi;
};
template <class D, class A>
static inline D clamp_to(A a) { // float → integer: saturates, NaN gives 0
  if (a != a) return 0;
  const f64 lo = (f64)std::numeric_limits<D>::min(), hi = (f64)std::numeric_limits<D>::max();
  return a <= lo ? std::numeric_limits<D>::min() : a >= hi ? std::numeric_limits<D>::max() : (D)a;
}

// ------------------------------------------------------------ element-wise operations
template <class D, class A, class Op>
static inline void un(Warp& w, const Ins& i, u32 m, Op op) {
  D* d = R<D>(w, i.d[0]);
  const A* a = R<A>(w, i.s[0]);
  if (m == ~0u)
    for (int l = 0; l < 32; ++l) d[l] = op(a[l]);
  else
    LANES d[l] = op(a[l]);
}
template <class D, class A, class Op>
static inline void bin(Warp& w, const Ins& i, u32 m, Op op) {
  D* d = R<D>(w, i.d[0]);
  const A *a = R<A>(w, i.s[0]), *b = R<A>(w, i.s[1]);
  if (m == ~0u)
    for (int l = 0; l < 32; ++l) d[l] = op(a[l], b[l]);
  else
    LANES d[l] = op(a[l], b[l]);
}
template <class D, class A, class C, class Op>
static inline void tri(Warp& w, const Ins& i, u32 m, Op op) {
  D* d = R<D>(w, i.d[0]);
  const A *a = R<A>(w, i.s[0]), *b = R<A>(w, i.s[1]);
  const C* c = R<C>(w, i.s[2]);
  if (m == ~0u)
    for (int l = 0; l < 32; ++l) d[l] = op(a[l], b[l], c[l]);
  else
    LANES d[l] = op(a[l], b[l], c[l]);
}
#define UN(D, A, e) +[](Warp& w, const Ins& i, u32 m) { un<D, A>(w, i, m, [](A a) -> D { return e; }); }
#define BIN(D, A, e) +[](Warp& w, const Ins& i, u32 m) { bin<D, A>(w, i, m, [](A a, A b) -> D { return e; }); }
#define TRI(D, A, C, e) \
  +[](Warp& w, const Ins& i, u32 m) { tri<D, A, C>(w, i, m, [](A a, A b, C c) -> D { return e; }); }
#define SHIFT(C, e)                    \
  +[](Warp& w, const Ins& i, u32 m) {  \
    C* d = R<C>(w, i.d[0]);            \
    const C* a_ = R<C>(w, i.s[0]);     \
    const u32* b_ = R<u32>(w, i.s[1]); \
    LANES {                            \
      C a = a_[l];                     \
      u32 b = b_[l];                   \
      d[l] = e;                        \
    }                                  \
  }
#define BITFIELD(D, A, e)                                       \
  +[](Warp& w, const Ins& i, u32 m) {                           \
    D* d = R<D>(w, i.d[0]);                                     \
    const A* a_ = R<A>(w, i.s[0]);                              \
    const u32 *b_ = R<u32>(w, i.s[1]), *c_ = R<u32>(w, i.s[2]); \
    LANES {                                                     \
      A a = a_[l];                                              \
      u32 b = b_[l] & 255, c = c_[l] & 255;                     \
      d[l] = e;                                                 \
    }                                                           \
  }
template <class U>
static U reverse_bits(U a) {
  U r = 0;
  for (unsigned k = 0; k < sizeof(U) * 8; ++k) {
    r = (U)(r << 1 | (a & 1));
    a >>= 1;
  }
  return r;
}
template <class S_>
static S_ extract(S_ a, u32 pos, u32 len) { // bfe
  const u32 msb = sizeof(S_) * 8 - 1;
  typedef std::make_unsigned_t<S_> U;
  bool neg = std::is_signed<S_>::value && len && ((U)a >> std::min(pos + len - 1, msb) & 1);
  U r = 0;
  for (u32 k = 0; k <= msb; ++k) r |= (U)((k < len && pos + k <= msb) ? ((U)a >> (pos + k) & 1) : (U)neg) << k;
  return (S_)r;
}
template <class U>
static U insert(U a, U b, u32 pos, u32 len) {
  for (u32 k = 0; k < len && pos + k < sizeof(U) * 8; ++k) {
    U bit = (U)1 << (pos + k);
    b = (b & ~bit) | ((a >> k & 1) << (pos + k));
  }
  return b;
} // bfi
template <class S_>
static u32 find_msb(S_ a) {
  typedef std::make_unsigned_t<S_> U;
  U v = (std::is_signed<S_>::value && a < 0) ? ~(U)a : (U)a;
  if (!v) return ~0u;
  u32 n = 0;
  while (v >>= 1) ++n;
  return n;
}
static s32 dot4(u32 a, u32 b, s32 c, bool as, bool bs) {
  for (int k = 0; k < 4; ++k)
    c += (as ? (s32)(s8)(a >> 8 * k) : (s32)(u8)(a >> 8 * k)) * (bs ? (s32)(s8)(b >> 8 * k) : (s32)(u8)(b >> 8 * k));
  return c;
}
template <class F>
static inline F fmin_(F a, F b) {
  return a < b || b != b ? a : b;
}
template <class F>
static inline F fmax_(F a, F b) {
  return a > b || b != b ? a : b;
}

void build_table() {
  if (!T.empty()) return;
#define INT(t, C)                                                                                                     \
  T["add." t] = BIN(C, C, (C)((u64)a + (u64)b));                                                                      \
  T["sub." t] = BIN(C, C, (C)((u64)a - (u64)b));                                                                      \
  T["mul.lo." t] = BIN(C, C, (C)((u64)a * (u64)b));                                                                   \
  T["mad.lo." t] = TRI(C, C, C, (C)((u64)a * (u64)b + (u64)c));                                                       \
  T["min." t] = BIN(C, C, a < b ? a : b);                                                                             \
  T["max." t] = BIN(C, C, a > b ? a : b);                                                                             \
  T["div." t] = BIN(C, C, !b ? (C)~0ull : (std::is_signed<C>::value && b == (C) - 1) ? (C)(0 - (u64)a) : (C)(a / b)); \
  T["rem." t] = BIN(C, C, !b ? a : (std::is_signed<C>::value && b == (C) - 1) ? (C)0 : (C)(a % b));                   \
  T["neg." t] = UN(C, C, (C)(0 - (u64)a));                                                                            \
  T["abs." t] = UN(C, C, a < 0 ? (C)(0 - (u64)a) : a);                                                                \
  T["sad." t] = TRI(C, C, C, (C)(c + (a < b ? b - a : a - b)));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
  INT("s16", s16)
  INT("u16", u16) INT("s32", s32) INT("u32", u32) INT("s64", s64) INT("u64", u64)
#pragma GCC diagnostic pop
#define WIDE(t, C, W, Wu)                    \
  T["mul.wide." t] = BIN(W, C, (W)a * (W)b); \
  T["mad.wide." t] = TRI(W, C, W, (W)((Wu)((W)a * (W)b) + (Wu)c));
      WIDE("s16", s16, s32, u32) WIDE("u16", u16, u32, u32) WIDE("s32", s32, s64, u64) WIDE("u32", u32, u64, u64)
          T["mul.hi.u16"] = BIN(u16, u16, (u16)((u32)a * b >> 16));
  T["mul.hi.s16"] = BIN(s16, s16, (s16)((s32)a * b >> 16));
  T["mul.hi.u32"] = BIN(u32, u32, (u32)((u64)a * b >> 32));
  T["mul.hi.s32"] = BIN(s32, s32, (s32)((s64)a * b >> 32));
  T["mul.hi.u64"] = BIN(u64, u64, (u64)((unsigned __int128)a * b >> 64));
  T["mul.hi.s64"] = BIN(s64, s64, (s64)((__int128)a * b >> 64));
  T["mad.hi.u32"] = TRI(u32, u32, u32, (u32)((u64)a * b >> 32) + c);
  T["mad.hi.s32"] = TRI(s32, s32, s32, (s32)((u32)((s64)a * b >> 32) + (u32)c));
  T["mad.hi.u64"] = TRI(u64, u64, u64, (u64)((unsigned __int128)a * b >> 64) + c);
  T["mul24.lo.u32"] = BIN(u32, u32, (a & 0xffffff) * (b & 0xffffff));
  T["mul24.lo.s32"] = BIN(s32, s32, (s32)((u32)((s32)(a << 8) >> 8) * (u32)((s32)(b << 8) >> 8)));
  T["add.sat.s32"] = BIN(s32, s32, (s32)std::max<s64>(INT32_MIN, std::min<s64>(INT32_MAX, (s64)a + b)));
  T["sub.sat.s32"] = BIN(s32, s32, (s32)std::max<s64>(INT32_MIN, std::min<s64>(INT32_MAX, (s64)a - b)));
#define CARRY(n, e)                                             \
  T[n ".u32"] = +[](Warp& w, const Ins& i, u32 m) {             \
    u32* d = R<u32>(w, i.d[0]);                                 \
    const u32 *a_ = R<u32>(w, i.s[0]), *b_ = R<u32>(w, i.s[1]); \
    LANES {                                                     \
      u64 a = a_[l], b = b_[l], c = w.carry[l], r = e;          \
      (void)c;                                                  \
      d[l] = (u32)r;                                            \
      w.carry[l] = r >> 32 & 1;                                 \
    }                                                           \
  };                                                            \
  T[n ".s32"] = T[n ".u32"];
  CARRY("add.cc", a + b)
  CARRY("addc.cc", a + b + c) CARRY("addc", a + b + c) CARRY("sub.cc", a - b) CARRY("subc.cc", a - b - c)
      CARRY("subc", a - b - c)
#define BITS(t, C)                     \
  T["and." t] = BIN(C, C, (C)(a & b)); \
  T["or." t] = BIN(C, C, (C)(a | b));  \
  T["xor." t] = BIN(C, C, (C)(a ^ b)); \
  T["not." t] = UN(C, C, (C)~a);       \
  T["cnot." t] = UN(C, C, (C)!a);
          BITS("b16", u16) BITS("b32", u32) BITS("b64", u64) T["and.pred"] = BIN(u8, u8, a & b);
  T["or.pred"] = BIN(u8, u8, a | b);
  T["xor.pred"] = BIN(u8, u8, a ^ b);
  T["not.pred"] = UN(u8, u8, !a);
#define SH(t, st, C, Sg, top)                            \
  T["shl.b" t] = SHIFT(C, b > top ? (C)0 : (C)(a << b)); \
  T["shr.b" t] = SHIFT(C, b > top ? (C)0 : (C)(a >> b)); \
  T["shr.u" t] = T["shr.b" t];                           \
  T["shr.s" t] = SHIFT(Sg, (Sg)(a >> (b > top ? top : b)));
  SH("16", "16", u16, s16, 15)
  SH("32", "32", u32, s32, 31) SH("64", "64", u64, s64, 63) T["shf.l.wrap.b32"] =
      TRI(u32, u32, u32, (u32)(((u64)b << 32 | a) << (c & 31) >> 32));
  T["shf.r.wrap.b32"] = TRI(u32, u32, u32, (u32)(((u64)b << 32 | a) >> (c & 31)));
  T["shf.l.clamp.b32"] = TRI(u32, u32, u32, c >= 32 ? a : (u32)(((u64)b << 32 | a) << c >> 32));
  T["shf.r.clamp.b32"] = TRI(u32, u32, u32, c >= 32 ? b : (u32)(((u64)b << 32 | a) >> c));
  T["brev.b32"] = UN(u32, u32, reverse_bits(a));
  T["brev.b64"] = UN(u64, u64, reverse_bits(a));
  T["popc.b32"] = UN(u32, u32, (u32)__builtin_popcount(a));
  T["popc.b64"] = UN(u32, u64, (u32)__builtin_popcountll(a));
  T["clz.b32"] = UN(u32, u32, a ? (u32)__builtin_clz(a) : 32u);
  T["clz.b64"] = UN(u32, u64, a ? (u32)__builtin_clzll(a) : 64u);
#define FIND(t, C)                                                                                        \
  T["bfind." t] = UN(u32, C, find_msb(a));                                                                \
  T["bfind.shiftamt." t] = UN(u32, C, find_msb(a) == ~0u ? ~0u : (u32)(sizeof(C) * 8 - 1) - find_msb(a)); \
  T["bfe." t] = BITFIELD(C, C, extract<C>(a, b, c));
  FIND("u32", u32)
  FIND("s32", s32) FIND("u64", u64) FIND("s64", s64) T["bfi.b32"] = +[](Warp& w, const Ins& i, u32 m) {
    LANES R<u32>(w, i.d[0])[l] =
        insert<u32>(R<u32>(w, i.s[0])[l], R<u32>(w, i.s[1])[l], R<u32>(w, i.s[2])[l] & 255, R<u32>(w, i.s[3])[l] & 255);
  };
  T["bfi.b64"] = +[](Warp& w, const Ins& i, u32 m) {
    LANES R<u64>(w, i.d[0])[l] =
        insert<u64>(R<u64>(w, i.s[0])[l], R<u64>(w, i.s[1])[l], R<u32>(w, i.s[2])[l] & 255, R<u32>(w, i.s[3])[l] & 255);
  };
  T["dp4a.s32.s32"] = TRI(s32, u32, s32, dot4(a, b, c, true, true));
  T["dp4a.u32.u32"] = TRI(s32, u32, s32, dot4(a, b, c, false, false));
  T["dp4a.s32.u32"] = TRI(s32, u32, s32, dot4(a, b, c, true, false));
  T["dp4a.u32.s32"] = TRI(s32, u32, s32, dot4(a, b, c, false, true));
  T["lop3.b32"] = +[](Warp& w, const Ins& i, u32 m) {
    u32 t = R<u32>(w, i.s[3])[0] & 255;
    LANES {
      u32 a = R<u32>(w, i.s[0])[l], b = R<u32>(w, i.s[1])[l], c = R<u32>(w, i.s[2])[l], r = 0;
      for (int k = 0; k < 8; ++k)
        if (t >> k & 1) r |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
      R<u32>(w, i.d[0])[l] = r;
    }
  };
  // floating point; f16 and bf16 are computed in double and rounded once
#define FLOAT(t, C, FMA, SQRT)                                        \
  T["add." t] = BIN(C, C, a + b);                                     \
  T["sub." t] = BIN(C, C, a - b);                                     \
  T["mul." t] = BIN(C, C, a * b);                                     \
  T["div." t] = BIN(C, C, a / b);                                     \
  T["fma." t] = TRI(C, C, C, FMA(a, b, c));                           \
  T["mad." t] = T["fma." t];                                          \
  T["min." t] = BIN(C, C, fmin_(a, b));                               \
  T["max." t] = BIN(C, C, fmax_(a, b));                               \
  T["min.NaN." t] = BIN(C, C, a != a ? a : b != b ? b : fmin_(a, b)); \
  T["max.NaN." t] = BIN(C, C, a != a ? a : b != b ? b : fmax_(a, b)); \
  T["neg." t] = UN(C, C, -a);                                         \
  T["abs." t] = UN(C, C, std::fabs(a));                               \
  T["rcp." t] = UN(C, C, 1 / a);                                      \
  T["sqrt." t] = UN(C, C, SQRT(a));                                   \
  T["rsqrt." t] = UN(C, C, 1 / SQRT(a));                              \
  T["copysign." t] = BIN(C, C, std::copysign(b, a));
  FLOAT("f32", f32, __builtin_fmaf, sqrtf) FLOAT("f64", f64, __builtin_fma, sqrt) T["ex2.f32"] = UN(f32, f32, exp2f(a));
  T["lg2.f32"] = UN(f32, f32, log2f(a));
  T["sin.f32"] = UN(f32, f32, sinf(a));
  T["cos.f32"] = UN(f32, f32, cosf(a));
  T["tanh.f32"] = UN(f32, f32, tanhf(a));
#define PAIR1(t, H, e)                            \
  T[t] = +[](Warp& w, const Ins& i, u32 m) {      \
    un<H, H>(w, i, m, [](H x) {                   \
      f64 a = x;                                  \
      return H::of(e);                            \
    });                                           \
  };                                              \
  T[t "x2"] = +[](Warp& w, const Ins& i, u32 m) { \
    un<Pair<H>, Pair<H>>(w, i, m, [](Pair<H> x) { \
      auto f = [](f64 a) { return H::of(e); };    \
      return Pair<H>{f(x.lo), f(x.hi)};           \
    });                                           \
  };
#define PAIR2(t, H, e)                                        \
  T[t] = +[](Warp& w, const Ins& i, u32 m) {                  \
    bin<H, H>(w, i, m, [](H x, H y) {                         \
      f64 a = x, b = y;                                       \
      return H::of(e);                                        \
    });                                                       \
  };                                                          \
  T[t "x2"] = +[](Warp& w, const Ins& i, u32 m) {             \
    bin<Pair<H>, Pair<H>>(w, i, m, [](Pair<H> x, Pair<H> y) { \
      auto f = [](f64 a, f64 b) { return H::of(e); };         \
      return Pair<H>{f(x.lo, y.lo), f(x.hi, y.hi)};           \
    });                                                       \
  };
#define PAIR3(t, H, e)                                                            \
  T[t] = +[](Warp& w, const Ins& i, u32 m) {                                      \
    tri<H, H, H>(w, i, m, [](H x, H y, H z) {                                     \
      f64 a = x, b = y, c = z;                                                    \
      return H::of(e);                                                            \
    });                                                                           \
  };                                                                              \
  T[t "x2"] = +[](Warp& w, const Ins& i, u32 m) {                                 \
    tri<Pair<H>, Pair<H>, Pair<H>>(w, i, m, [](Pair<H> x, Pair<H> y, Pair<H> z) { \
      auto f = [](f64 a, f64 b, f64 c) { return H::of(e); };                      \
      return Pair<H>{f(x.lo, y.lo, z.lo), f(x.hi, y.hi, z.hi)};                   \
    });                                                                           \
  };
#define SHORT(t, H)                                                                                                  \
  PAIR2("add." t, H, a + b)                                                                                          \
  PAIR2("sub." t, H, a - b) PAIR2("mul." t, H, a* b) PAIR2("min." t, H, fmin_(a, b)) PAIR2("max." t, H, fmax_(a, b)) \
      PAIR3("fma." t, H, a* b + c) PAIR3("fma.relu." t, H, std::max(a* b + c, 0.)) PAIR1("neg." t, H, -a)            \
          PAIR1("abs." t, H, std::fabs(a)) PAIR1("ex2." t, H, std::exp2(a)) PAIR1("tanh." t, H, std::tanh(a))
  SHORT("f16", Half)
  SHORT("bf16", Bf)
#define MOV(t, C)            \
  T["mov." t] = UN(C, C, a); \
  T["selp." t] = TRI(C, C, u8, c ? a : b);
      MOV("b16", u16) MOV("u16", u16) MOV("s16", u16) MOV("f16", u16) MOV("bf16", u16) MOV("b32", u32) MOV("u32", u32)
          MOV("s32", u32) MOV("f32", u32) MOV("f16x2", u32) MOV("bf16x2", u32) MOV("b64", u64) MOV("u64", u64)
              MOV("s64", u64) MOV("f64", u64)
                  MOV("pred", u8) for (const char* s : {"global", "local", "const",
                                                        "param"}) for (const char* to : {"cvta.", "cvta.to."})
                      T[string(to) + s + ".u64"] = T["mov.b64"];
  T["cvta.shared.u64"] = UN(u64, u64, a + (u64)S);
  T["cvta.to.shared.u64"] = UN(u64, u64, a - (u64)S);
#define TEST(n, e)                             \
  T["testp." n ".f32"] = UN(u8, f32, (u8)(e)); \
  T["testp." n ".f64"] = UN(u8, f64, (u8)(e));
  TEST("finite", std::isfinite(a))
  TEST("infinite", std::isinf(a)) TEST("number", !std::isnan(a)) TEST("notanumber", std::isnan(a))
      TEST("normal", std::isnormal(a)) TEST("subnormal", std::fpclassify(a) == FP_SUBNORMAL)
#define CMP(n, t, C, e) T["setp." n "." t] = BIN(u8, C, (u8)(e));
#define CMPS(t, C)                                                                              \
  CMP("eq", t, C, a == b)                                                                       \
  CMP("ne", t, C, a != b) CMP("lt", t, C, a < b) CMP("le", t, C, a <= b) CMP("gt", t, C, a > b) \
      CMP("ge", t, C, a >= b)
          CMPS("s16", s16) CMPS("u16", u16) CMPS("b16", u16) CMPS("s32", s32) CMPS("u32", u32) CMPS("b32", u32)
              CMPS("s64", s64) CMPS("u64", u64) CMPS("b64", u64) CMPS("f32", f32) CMPS("f64", f64) CMPS("f16", Half)
                  CMPS("bf16", Bf)
#define UNSIGNED(t, C) CMP("lo", t, C, a < b) CMP("ls", t, C, a <= b) CMP("hi", t, C, a > b) CMP("hs", t, C, a >= b)
                      UNSIGNED("u16", u16) UNSIGNED("u32", u32) UNSIGNED("u64", u64)
#define NANS(t, C)                                                                                                    \
  CMP("ne", t, C, a<b || a> b)                                                                                        \
  CMP("equ", t, C, !(a < b || a > b)) CMP("neu", t, C, a != b) CMP("ltu", t, C, !(a >= b)) CMP("leu", t, C, !(a > b)) \
      CMP("gtu", t, C, !(a <= b)) CMP("geu", t, C, !(a < b)) CMP("nan", t, C, a != a || b != b)                       \
          CMP("num", t, C, a == a && b == b)
                          NANS("f32", f32) NANS("f64", f64) NANS("f16", Half) NANS("bf16", Bf)
}

static void with_rounding(Warp& w, const Ins& i, u32 m) {
  fesetround((int)i.imm2);
  i.base(w, i, m);
  fesetround(FE_TONEAREST);
}
static void with_saturation(Warp& w, const Ins& i, u32 m) {
  i.base(w, i, m);
  f32* d = R<f32>(w, i.d[0]);
  LANES d[l] = d[l] > 0 ? std::min(d[l], 1.f) : 0.f;
}
static void compare(Warp& w, const Ins& i, u32 m) { // setp with a second predicate or a combined one
  alignas(64) u8 keep[32];
  u8* d = R<u8>(w, i.d[0]);
  memcpy(keep, d, 32);
  u8 c[32];
  if (i.s[2] >= 0)
    memcpy(c, R<u8>(w, i.s[2]), 32);
  else
    memset(c, 1, 32);
  i.base(w, i, m);
  LANES {
    u8 t = d[l], q = i.s[2] >= 0 ? (i.flags & F_NEG ? !c[l] : c[l]) : 1;
    auto f = [&](u8 x) -> u8 { return i.imm == 0 ? x & q : i.imm == 1 ? x | q : x ^ q; };
    d[l] = f(t);
    if (i.d[1] >= 0) R<u8>(w, i.d[1])[l] = f(!t);
  }
}

// ------------------------------------------------------------ conversions: read into the widest form, round, write
enum Num : u8 { U8, S8_, U16, S16, U32, S32, U64, S64, F16, BF16, F32, F64, TF32, NONE };
static Num num(const string& t) {
  static const char* n[] = {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f16", "bf16", "f32", "f64", "tf32"};
  for (int k = 0; k < 13; ++k)
    if (t == n[k]) return (Num)k;
  return NONE;
}
static bool is_float(Num n) { return n >= F16; }
struct Wide {
  s64 i;
  u64 u;
  f64 f;
};
static inline u64 load_reg(Warp& w, int o, int size, int l) {
  switch (size) {
    case 1:
      return R<u8>(w, o)[l];
    case 2:
      return R<u16>(w, o)[l];
    case 4:
      return R<u32>(w, o)[l];
    default:
      return R<u64>(w, o)[l];
  }
}
static inline void store_reg(Warp& w, int o, int size, int l, u64 v) {
  switch (size) {
    case 1:
      R<u8>(w, o)[l] = (u8)v;
      break;
    case 2:
      R<u16>(w, o)[l] = (u16)v;
      break;
    case 4:
      R<u32>(w, o)[l] = (u32)v;
      break;
    default:
      R<u64>(w, o)[l] = v;
  }
}
static f64 round_int(f64 x, int mode) {
  switch (mode) {
    case 1:
      return std::trunc(x);
    case 2:
      return std::floor(x);
    case 3:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}
static u64 to_bf_directed(f64 f, int mode) {
  f32 g = (f32)f;
  u32 u = f_bits(g);
  bool exact = !(u & 0xffff) && (f64)g == f;
  u >>= 16;
  if (!exact && mode == 1) {
    if (std::fabs((f64)bits_f(u << 16)) > std::fabs(f)) --u;
  }
  return u;
}
static void cvt(
    Warp& w, const Ins& i,
    u32 m) { // imm: dtype | atype << 8 | rounding << 16 | saturate << 24 | integer rounding << 25 | relu << 26
  Num D = (Num)(i.imm & 255), A = (Num)(i.imm >> 8 & 255);
  int mode = (int)(i.imm >> 16 & 255);
  bool sat = i.imm >> 24 & 1, integral = i.imm >> 25 & 1, relu = i.imm >> 26 & 1;
  const int fe[5] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD, FE_TONEAREST};
  if (mode && !integral) fesetround(fe[mode]);
  LANES {
    u64 raw = load_reg(w, i.s[0], i.ssz, l), out = 0;
    f64 f = 0;
    bool sign = false;
    s64 v = 0;
    switch (A) {
      case U8:
        v = (u8)raw;
        break;
      case S8_:
        v = (s8)raw;
        sign = true;
        break;
      case U16:
        v = (u16)raw;
        break;
      case S16:
        v = (s16)raw;
        sign = true;
        break;
      case U32:
        v = (u32)raw;
        break;
      case S32:
        v = (s32)raw;
        sign = true;
        break;
      case U64:
        v = (s64)raw;
        break;
      case S64:
        v = (s64)raw;
        sign = true;
        break;
      case F16:
        f = Half{(u16)raw};
        break;
      case BF16:
        f = Bf{(u16)raw};
        break;
      case F32:
        f = bits_f((u32)raw);
        break;
      default:
        f = bits_d(raw);
    }
    bool fa = is_float(A);
    if (is_float(D)) {
      volatile f64 x = f;
      f32 g = 0;
      bool direct = false;
      if (!fa) {
        if (D == F32) {
          volatile s64 vs = v;
          volatile u64 vu = (u64)v;
          g = sign ? (f32)vs : (f32)vu;
          direct = true;
        } else {
          volatile s64 vs = v;
          volatile u64 vu = (u64)v;
          x = sign ? (f64)vs : (f64)vu;
        }
      }
      if (integral) x = round_int(x, mode);
      if (sat) {
        if (direct)
          g = g > 0 ? std::min(g, 1.f) : 0.f;
        else {
          f64 y = x;
          x = y > 0 ? std::min(y, 1.) : 0.;
        }
      }
      if (relu) {
        f64 y = x;
        x = y > 0 ? y : 0.;
      }
      switch (D) {
        case F16: {
          volatile _Float16 h = (_Float16)(f64)x;
          _Float16 hh = h;
          u16 u;
          memcpy(&u, &hh, 2);
          out = u;
          break;
        }
        case BF16:
          out = mode == 1 ? to_bf_directed(x, 1) : Bf::of(x).b;
          break;
        case F32:
          out = f_bits(direct ? g : (f32)x);
          break;
        case TF32: {
          u32 u = f_bits((f32)x);
          out = mode == 4   ? (u + 0x1000u) & ~0x1fffu
                : mode == 1 ? u & ~0x1fffu
                            : (u + 0xfff + (u >> 13 & 1)) & ~0x1fffu;
          break;
        }
        default:
          out = d_bits(x);
      }
    } else if (fa) {
      f64 x = round_int(f, mode);
      switch (D) {
        case U8:
          out = clamp_to<u8>(x);
          break;
        case S8_:
          out = (u64)(s64)clamp_to<s8>(x);
          break;
        case U16:
          out = clamp_to<u16>(x);
          break;
        case S16:
          out = (u64)(s64)clamp_to<s16>(x);
          break;
        case U32:
          out = clamp_to<u32>(x);
          break;
        case S32:
          out = (u64)(s64)clamp_to<s32>(x);
          break;
        case U64:
          out = f != f ? 1ull << 63 : clamp_to<u64>(x);
          break;
        default:
          out = f != f ? 1ull << 63 : (u64)clamp_to<s64>(x);
      }
    } else {
      __int128 x = sign ? (__int128)v : (__int128)(u64)v;
      if (sat) {
        static const int bits[] = {8, 8, 16, 16, 32, 32, 64, 64};
        bool ds = D & 1;
        __int128 hi = ((__int128)1 << (bits[D] - ds)) - 1, lo = ds ? -hi - 1 : 0;
        x = std::max(lo, std::min(hi, x));
      }
      out = (u64)x;
      switch (D) {
        case U8:
          out = (u8)out;
          break;
        case S8_:
          out = (u64)(s64)(s8)out;
          break;
        case U16:
          out = (u16)out;
          break;
        case S16:
          out = (u64)(s64)(s16)out;
          break;
        case U32:
          out = (u32)out;
          break;
        case S32:
          out = (u64)(s64)(s32)out;
          break;
        default:
          break;
      }
    }
    store_reg(w, i.d[0], i.dsz, l, out);
  }
  if (mode && !integral) fesetround(FE_TONEAREST);
}
template <class D, class A>
static void cvt_fast(Warp& w, const Ins& i, u32 m) {
  un<D, A>(w, i, m, [](A a) { return (D)a; });
}
template <class H>
static void pack2(Warp& w, const Ins& i, u32 m) {
  bool relu = i.imm;
  LANES {
    f32 hi = R<f32>(w, i.s[0])[l], lo = R<f32>(w, i.s[1])[l];
    if (relu) {
      hi = hi > 0 ? hi : 0;
      lo = lo > 0 ? lo : 0;
    }
    R<u32>(w, i.d[0])[l] = H::of(lo).b | (u32)H::of(hi).b << 16;
  }
}

// ------------------------------------------------------------ memory
static inline u8* address(Warp& w, const Ins& i, int l, int slot, s64 imm) {
  if (i.flags & F_LOCALSYM) return w.local[l] + imm;
  if (i.flags & F_SHARED) {
    u32 a = (u32)((i.flags & F_ADDR64 ? R<u64>(w, slot)[l] : R<u32>(w, slot)[l]) + imm);
    if (a + 256 > SSZ) {
      report("shared-oob", &threads[w.id * 32 + l], i.site, 0, "shared address %x", a);
      throw Fault{ILLEGAL_ADDRESS};
    }
    return S + a;
  }
  return (u8*)((i.flags & F_ADDR64 ? R<u64>(w, slot)[l] : R<u32>(w, slot)[l]) + imm);
}
static bool allowed_slow(Warp& w, const Ins& i, int l, const u8* p, u32 n, Access op) {
  Thread& t = threads[w.id * 32 + l];
  if ((u64)p & (n - 1)) {
    report("misaligned", &t, i.site, 0, "%u-byte %s, address %% %u = %u", n,
           op == READ     ? "load"
           : op == ATOMIC ? "atomic"
                          : "store",
           n, (u32)((u64)p % n));
    throw Fault{MISALIGNED};
  }
  const u8* mine = w.local[l];
  if (i.flags & (F_LOCAL | F_GENERIC) && running->local && p >= mine && p + n <= mine + running->local) return true;
  if (i.flags & F_LOCAL) {
    report("local-oob", &t, i.site, 0, "%u bytes at offset %ld of %u bytes of local memory", n, (long)(p - mine),
           running->local);
    throw Fault{ILLEGAL_ADDRESS};
  }
  return access(t, p, n, op, i.site);
}
static inline bool allowed(Warp& w, const Ins& i, int l, const u8* p, u32 n, Access op) {
  if (!config.check && !((u64)p & (n - 1)) && ((size_t)(p - G) < GSZ || (size_t)(p - S) < SSZ)) return true;
  return allowed_slow(w, i, l, p, n, op);
}
static void count_access(Warp& w, const Ins& i, u32 m) { // bank conflicts of shared, 32-byte sectors of global accesses
  Counters& c = const_cast<Kernel*>(running)->counters[&i - running->code.data()];
  u32 bytes = i.sz * i.vn;
  if (i.flags & F_SHARED) { // 8-byte accesses run half a warp at a time, 16-byte ones a quarter
    int per = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    for (int q = 0; q < 32; q += per) {
      vector<u32> bank[32];
      size_t worst = 1;
      for (int l = q; l < q + per; ++l)
        if (m >> l & 1)
          for (u32 b = 0; b < std::max(bytes, 4u); b += 4) {
            u32 word = (u32)((address(w, i, l, i.s[0], i.imm) - S + b) >> 2);
            auto& v = bank[word & 31];
            if (std::find(v.begin(), v.end(), word) == v.end()) v.push_back(word);
            worst = std::max(worst, v.size());
          }
      c.bank_conflicts += worst - 1;
    }
  } else if (!(i.flags & (F_LOCAL | F_PARAM))) {
    vector<u64> s;
    LANES for (u32 b = 0; b < bytes; b += 4) s.push_back((u64)(address(w, i, l, i.s[0], i.imm) + b) >> 5);
    std::sort(s.begin(), s.end());
    c.sectors += std::unique(s.begin(), s.end()) - s.begin();
  }
}
template <class U>
static void ld(Warp& w, const Ins& i, u32 m) {
  if (config.profile) count_access(w, i, m);
  const u32 n = sizeof(U) * i.vn;
  LANES {
    const u8* p = address(w, i, l, i.s[0], i.imm);
    bool ok = allowed(w, i, l, p, n, READ);
    for (int v = 0; v < i.vn; ++v) {
      U x;
      if (ok)
        memcpy(&x, p + v * sizeof(U), sizeof(U));
      else
        memset(&x, 0xff, sizeof(U));
      if (i.d[v] < 0) continue;
      if (i.dsz == sizeof(U))
        R<U>(w, i.d[v])[l] = x;
      else
        store_reg(w, i.d[v], i.dsz, l, i.flags & F_SIGNED ? (u64)(s64)(std::make_signed_t<U>)x : (u64)x);
    }
  }
}
template <class U>
static void st(Warp& w, const Ins& i, u32 m) {
  if (config.profile) count_access(w, i, m);
  const u32 n = sizeof(U) * i.vn;
  LANES {
    u8* p = address(w, i, l, i.s[0], i.imm);
    if (!allowed(w, i, l, p, n, WRITE)) continue;
    for (int v = 0; v < i.vn; ++v) {
      U x = i.ssz == sizeof(U) ? R<U>(w, i.s[1 + v])[l] : (U)load_reg(w, i.s[1 + v], i.ssz, l);
      memcpy(p + v * sizeof(U), &x, sizeof(U));
    }
  }
}
static void st_slot(Warp& w, const Ins& i, u32 m) {
  LANES for (int v = 0; v < i.vn; ++v)
      memcpy(w.r + i.s[0] + l * i.imm2 + i.imm + v * i.sz, w.r + i.s[1 + v] + l * i.sz, i.sz);
}
static void ld_slot(Warp& w, const Ins& i, u32 m) {
  LANES for (int v = 0; v < i.vn; ++v)
      memcpy(w.r + i.d[v] + l * i.sz, w.r + i.s[0] + l * i.imm2 + i.imm + v * i.sz, i.sz);
}
enum { A_ADD, A_MIN, A_MAX, A_EXCH, A_CAS, A_AND, A_OR, A_XOR, A_INC, A_DEC };
template <class C>
static inline C rmw(int op, C a, C b, C c) {
  switch (op) {
    case A_ADD:
      return (C)(a + b);
    case A_MIN:
      return a < b ? a : b;
    case A_MAX:
      return a > b ? a : b;
    case A_EXCH:
      return b;
    case A_CAS:
      return a == b ? c : a;
    case A_INC:
      return a >= b ? (C)0 : (C)(a + 1);
    case A_DEC:
      return a == 0 || a > b ? b : (C)(a - 1);
    default:
      return a;
  }
}
template <class C>
static inline C rmw_bits(int op, C a, C b, C c) {
  switch (op) {
    case A_AND:
      return a & b;
    case A_OR:
      return a | b;
    case A_XOR:
      return a ^ b;
    default:
      return rmw<C>(op, a, b, c);
  }
}
template <class H>
static inline u32 rmw_pair(int op, u32 a, u32 b) {
  u32 r = 0;
  for (int k = 0; k < 2; ++k) {
    f64 x = H{(u16)(a >> 16 * k)}, y = H{(u16)(b >> 16 * k)};
    r |= (u32)H::of(op == A_ADD ? x + y : op == A_MIN ? fmin_(x, y) : fmax_(x, y)).b << 16 * k;
  }
  return r;
}
static u64 atomic_result(int op, const string& t, u64 a, u64 b, u64 c) {
  if (t == "f32") return f_bits(rmw<f32>(op, bits_f((u32)a), bits_f((u32)b), 0));
  if (t == "f64") return d_bits(rmw<f64>(op, bits_d(a), bits_d(b), 0));
  if (t == "s32") return (u32)rmw<s32>(op, (s32)a, (s32)b, (s32)c);
  if (t == "s64") return (u64)rmw<s64>(op, (s64)a, (s64)b, (s64)c);
  if (t == "f16x2") return rmw_pair<Half>(op, (u32)a, (u32)b);
  if (t == "bf16x2") return rmw_pair<Bf>(op, (u32)a, (u32)b);
  if (t == "f16") return Half::of(f64(Half{(u16)a}) + Half{(u16)b}).b;
  if (t == "bf16") return Bf::of(f64(Bf{(u16)a}) + Bf{(u16)b}).b;
  if (t == "b16") return rmw_bits<u16>(op, (u16)a, (u16)b, (u16)c);
  if (t == "u32" || t == "b32") return rmw_bits<u32>(op, (u32)a, (u32)b, (u32)c);
  return rmw_bits<u64>(op, a, b, c);
}
static vector<string> atomic_types;
static void atom(Warp& w, const Ins& i, u32 m) {
  const string& t = atomic_types[i.imm2 >> 8];
  int op = (int)(i.imm2 & 255);
  LANES {
    u8* p = address(w, i, l, i.s[0], i.imm);
    if (!allowed(w, i, l, p, i.sz, ATOMIC)) continue;
    if (config.check && !(i.flags & F_SHARED)) note_atomic(threads[w.id * 32 + l], p);
    u64 a = 0;
    memcpy(&a, p, i.sz);
    u64 b = load_reg(w, i.s[1], i.sz, l), c = i.s[2] >= 0 ? load_reg(w, i.s[2], i.sz, l) : 0,
        r = atomic_result(op, t, a, b, c);
    memcpy(p, &r, i.sz);
    if (i.d[0] >= 0) store_reg(w, i.d[0], i.sz, l, a);
  }
}
static void fence(Warp& w, const Ins&, u32 m) { LANES note_fence(threads[w.id * 32 + l]); }
static void cp_async(Warp& w, const Ins& i, u32 m) {
  LANES {
    u8* s = address(w, i, l, i.s[0], i.imm);
    u8* g = (u8*)(R<u64>(w, i.s[1])[l] + i.imm2);
    u32 n = i.s[2] >= 0 ? std::min<u32>(R<u32>(w, i.s[2])[l], i.sz) : i.sz;
    Thread& t = threads[w.id * 32 + l];
    if ((u64)s % i.sz || (u64)g % i.sz) {
      report("misaligned", &t, i.site, 0, "cp.async shared %% %d = %d, global %% %d = %d", i.sz, (int)((u64)s % i.sz),
             i.sz, (int)((u64)g % i.sz));
      throw Fault{MISALIGNED};
    }
    if (n && !access(t, g, n, READ, i.site)) n = 0;
    if (access(t, s, i.sz, COPY_START, i.site)) t.pending.push_back({s, g, i.sz, n, i.site});
  }
}
static void cp_commit(Warp& w, const Ins&, u32 m) {
  LANES {
    Thread& t = threads[w.id * 32 + l];
    t.groups.push_back(std::move(t.pending));
    t.pending.clear();
  }
}
static void cp_wait(Warp& w, const Ins& i, u32 m) {
  LANES {
    Thread& t = threads[w.id * 32 + l];
    if (i.flags & F_NEG) {
      t.groups.push_back(std::move(t.pending));
      t.pending.clear();
    }
    while ((s64)t.groups.size() > i.imm) {
      for (auto& c : t.groups.front()) {
        memset(c.dst, 0, c.bytes);
        if (c.valid) memcpy(c.dst, c.src, c.valid);
        access(t, c.dst, c.bytes, COPY_DONE, c.site);
      }
      t.groups.erase(t.groups.begin());
    }
  }
}
static void ldmatrix(Warp& w, const Ins& i, u32) {
  const u8* row[32];
  if (config.profile) {
    Counters& c = const_cast<Kernel*>(running)->counters[&i - running->code.data()];
    for (int k = 0; k < i.vn; ++k) {
      int n[32] = {}, worst = 1;
      for (int r = 0; r < 8; ++r) {
        size_t a = address(w, i, k * 8 + r, i.s[0], i.imm) - S;
        for (int b = 0; b < 4; ++b) worst = std::max(worst, ++n[(a / 4 + b) & 31]);
      }
      c.bank_conflicts += worst - 1;
    }
  }
  for (int l = 0; l < 8 * i.vn; ++l) {
    row[l] = address(w, i, l, i.s[0], i.imm);
    Thread& t = threads[w.id * 32 + l];
    if ((u64)row[l] % 16) {
      report("misaligned", &t, i.site, 0, "ldmatrix row address %% 16 = %u", (u32)((u64)row[l] % 16));
      throw Fault{MISALIGNED};
    }
    access(t, row[l], 16, READ, i.site);
  }
  for (int l = 0; l < 32; ++l)
    for (int k = 0; k < i.vn; ++k) {
      u16 h[2];
      for (int e = 0; e < 2; ++e) {
        int r = i.flags & F_TRANS ? (l % 4) * 2 + e : l / 4, c = i.flags & F_TRANS ? l / 4 : (l % 4) * 2 + e;
        memcpy(&h[e], row[k * 8 + r] + c * 2, 2);
      }
      R<u32>(w, i.d[k])[l] = h[0] | (u32)h[1] << 16;
    }
}
// D = A B + C; TY 0: bf16, 1: f16, 2: tf32. Products and sums in fp32, k ascending: the hardware's order and rounding
// are not documented.
template <int KK, int TY>
static void mma(Warp& w, const Ins& i, u32) {
  f32 A[16][KK], B[KK][8], C[16][8];
  constexpr bool h = TY < 2;
  constexpr int na = h ? KK / 4 : KK / 2, nb = na / 2;
  auto lo = [](u32 u) -> f32 { return TY == 0 ? bits_f(u << 16) : (f32)Half{(u16)u}; };
  auto hi = [](u32 u) -> f32 { return TY == 0 ? bits_f(u & 0xffff0000u) : (f32)Half{(u16)(u >> 16)}; };
  const bool half_acc = i.flags & F_NEG;
  for (int l = 0; l < 32; ++l) {
    int g = l >> 2, t = l & 3;
    for (int k = 0; k < na; ++k) {
      u32 u = R<u32>(w, i.s[k])[l];
      int r = g + (k & 1) * 8;
      if (h) {
        int c = t * 2 + (k >> 1) * 8;
        A[r][c] = lo(u);
        A[r][c + 1] = hi(u);
      } else
        A[r][t + (k >> 1) * 4] = bits_f(u & ~0x1fffu);
    }
    for (int k = 0; k < nb; ++k) {
      u32 u = R<u32>(w, i.s[na + k])[l];
      if (h) {
        B[t * 2 + k * 8][g] = lo(u);
        B[t * 2 + k * 8 + 1][g] = hi(u);
      } else
        B[t + k * 4][g] = bits_f(u & ~0x1fffu);
    }
    for (int k = 0; k < 4; ++k) {
      f32& c = C[g + (k >> 1) * 8][t * 2 + (k & 1)];
      if (half_acc) {
        u32 u = R<u32>(w, i.s[na + nb + (k >> 1)])[l];
        c = (f32)Half{(u16)(u >> 16 * (k & 1))};
      } else
        c = R<f32>(w, i.s[na + nb + k])[l];
    }
  }
  for (int r = 0; r < 16; ++r)
    for (int k = 0; k < KK; ++k)
      for (int j = 0; j < 8; ++j) C[r][j] += A[r][k] * B[k][j];
  for (int l = 0; l < 32; ++l) {
    int g = l >> 2, t = l & 3;
    if (half_acc)
      for (int k = 0; k < 2; ++k)
        R<u32>(w, i.d[k])[l] = Half::of(C[g + k * 8][t * 2]).b | (u32)Half::of(C[g + k * 8][t * 2 + 1]).b << 16;
    else
      for (int k = 0; k < 4; ++k) R<f32>(w, i.d[k])[l] = C[g + (k >> 1) * 8][t * 2 + (k & 1)];
  }
}

// ------------------------------------------------------------ between lanes (called with exactly the member lanes)
static void shfl(Warp& w, const Ins& i, u32 m) {
  u32* d = R<u32>(w, i.d[0]);
  const u32 *a = R<u32>(w, i.s[0]), *b = R<u32>(w, i.s[1]), *c = R<u32>(w, i.s[2]);
  u32 out[32];
  u8 in_range[32];
  LANES {
    int bv = b[l] & 31, cv = c[l] & 31, seg = c[l] >> 8 & 31, top = (l & seg) | (cv & ~seg), low = l & seg, j;
    bool p;
    switch (i.imm) {
      case 0:
        j = l - bv;
        p = j >= top;
        break;
      case 1:
        j = l + bv;
        p = j <= top;
        break;
      case 2:
        j = l ^ bv;
        p = j <= top;
        break;
      default:
        j = low | (bv & ~seg);
        p = j <= top;
    }
    if (!p) j = l;
    if (!(m >> j & 1)) {
      report("shfl-inactive", &threads[w.id * 32 + l], i.site, 0, "lane %d reads lane %d, which takes no part", l, j);
      out[l] = 0x7fc00000;
    } else
      out[l] = a[j];
    in_range[l] = p;
  }
  LANES {
    d[l] = out[l];
    if (i.d[1] >= 0) R<u8>(w, i.d[1])[l] = in_range[l];
  }
}
static void vote(Warp& w, const Ins& i, u32 m) {
  u32 b = 0;
  LANES {
    u8 v = R<u8>(w, i.s[0])[l];
    if (i.flags & F_NEG) v = !v;
    b |= (u32)(v != 0) << l;
  }
  LANES {
    if (i.imm == 0)
      R<u32>(w, i.d[0])[l] = b;
    else
      R<u8>(w, i.d[0])[l] = i.imm == 1 ? b == m : i.imm == 2 ? b != 0 : b == m || b == 0;
  }
}
static void match(Warp& w, const Ins& i, u32 m) {
  u32 out[32];
  bool all = true;
  int first = __builtin_ctz(m);
  u64 v0 = load_reg(w, i.s[0], i.sz, first);
  LANES {
    u64 v = load_reg(w, i.s[0], i.sz, l);
    out[l] = 0;
    for (int j = 0; j < 32; ++j)
      if (m >> j & 1 && load_reg(w, i.s[0], i.sz, j) == v) out[l] |= 1u << j;
    all &= v == v0;
  }
  LANES {
    R<u32>(w, i.d[0])[l] = i.imm ? (all ? m : 0) : out[l];
    if (i.d[1] >= 0) R<u8>(w, i.d[1])[l] = all;
  }
}
static void redux(Warp& w, const Ins& i, u32 m) {
  u64 acc = 0;
  bool first = true;
  LANES {
    u64 v = R<u32>(w, i.s[0])[l];
    acc = first ? v : atomic_result((int)(i.imm & 255), i.flags & F_SIGNED ? "s32" : "u32", acc, v, 0);
    first = false;
  }
  LANES R<u32>(w, i.d[0])[l] = (u32)acc;
}
static void warp_sync(Warp& w, const Ins&, u32 m) { LANES threads[w.id * 32 + l].warp_epoch++; }
static void elect(Warp& w, const Ins& i, u32 m) {
  u32 leader = __builtin_ctz(m);
  LANES {
    if (i.d[0] >= 0) R<u32>(w, i.d[0])[l] = leader;
    if (i.d[1] >= 0) R<u8>(w, i.d[1])[l] = (u32)l == leader;
  }
}
static void mov_pack(Warp& w, const Ins& i, u32 m) {
  LANES {
    u64 v = 0;
    for (int k = 0; k < i.vn; ++k) v |= load_reg(w, i.s[k], i.sz, l) << (8 * i.sz * k);
    store_reg(w, i.d[0], i.sz * i.vn, l, v);
  }
}
static void mov_unpack(Warp& w, const Ins& i, u32 m) {
  LANES {
    u64 v = load_reg(w, i.s[0], i.sz * i.vn, l);
    for (int k = 0; k < i.vn; ++k)
      if (i.d[k] >= 0) store_reg(w, i.d[k], i.sz, l, v >> (8 * i.sz * k));
  }
}
static void prmt(Warp& w, const Ins& i, u32 m) {
  LANES {
    u64 v = R<u32>(w, i.s[0])[l] | (u64)R<u32>(w, i.s[1])[l] << 32;
    u32 c = R<u32>(w, i.s[2])[l], r = 0;
    for (u32 k = 0; k < 4; ++k) {
      u32 s = c >> (4 * k) & 15, b;
      switch (i.imm) {
        default:
          b = s & 7;
          break;
        case 1:
          b = (c & 3) + k;
          s = 0;
          break;
        case 2:
          b = ((c & 3) - k) & 7;
          s = 0;
          break;
        case 3:
          b = c & 3;
          s = 0;
          break;
        case 4:
          b = std::max(c & 3, k);
          s = 0;
          break;
        case 5:
          b = std::min(c & 3, k);
          s = 0;
          break;
        case 6:
          b = (c & 1) * 2 + (k & 1);
          s = 0;
          break;
      }
      u32 x = (u32)(v >> (8 * b)) & 255;
      if (s & 8) x = x & 128 ? 255 : 0;
      r |= x << (8 * k);
    }
    R<u32>(w, i.d[0])[l] = r;
  }
}

// ------------------------------------------------------------ calls into the device runtime
static string c_string(u64 p) {
  string s;
  for (const char* c = (const char*)p; (size_t)((const u8*)c - G) < GSZ && *c && s.size() < 1000; ++c) s += *c;
  return s;
}
static u64 slot_value(Warp& w, int off, int size, int l) {
  u64 v = 0;
  memcpy(&v, w.r + off + l * size, std::min(size, 8));
  return v;
}
static void call_assert(Warp& w, const Ins& i, u32 m) {
  int l = __builtin_ctz(m);
  auto arg = [&](int k) { return slot_value(w, i.s[k], i.s[k + 5], l); };
  report("assert", &threads[w.id * 32 + l], i.site, 0, "%s:%u: %s: assertion `%s` failed", c_string(arg(1)).c_str(),
         (u32)arg(2), c_string(arg(3)).c_str(), c_string(arg(0)).c_str());
  throw Fault{ASSERT};
}
static void call_printf(Warp& w, const Ins& i, u32 m) {
  LANES {
    string f = c_string(slot_value(w, i.s[0], i.s[5], l)), o;
    const u8* a = (const u8*)slot_value(w, i.s[1], i.s[6], l);
    size_t off = 0;
    for (size_t k = 0; k < f.size(); ++k) {
      if (f[k] != '%') {
        o += f[k];
        continue;
      }
      size_t e = f.find_first_of("diouxXeEfFgGaAcspn%", k + 1);
      if (e == string::npos) break;
      string spec = f.substr(k, e - k + 1);
      k = e;
      char c = f[e], b[256];
      if (c == '%') {
        o += '%';
        continue;
      }
      bool wide = strchr("eEfFgGaAsp", c) || spec.find('l') != string::npos || spec.find('z') != string::npos;
      if (wide) off = (off + 7) & ~7ull;
      u64 v = 0;
      memcpy(&v, a + off, wide ? 8 : 4);
      off += wide ? 8 : 4;
      if (c == 's') {
        o += c_string(v);
        continue;
      }
      if (strchr("eEfFgGaA", c))
        snprintf(b, sizeof b, spec.c_str(), bits_d(v));
      else if (wide)
        snprintf(b, sizeof b, spec.c_str(), v);
      else
        snprintf(b, sizeof b, spec.c_str(), (u32)v);
      o += b;
    }
    fwrite(o.data(), 1, o.size(), stdout);
    if (i.d[0] >= 0) R<u32>(w, i.d[0])[l] = 1;
  }
  fflush(stdout);
}

// ------------------------------------------------------------ decoding
void Parser::decode(Ins& i, const string& op, vector<string> q, vector<string> a) {
  auto has = [&](const char* s) { return std::find(q.begin(), q.end(), s) != q.end(); };
  const string o = q[0], ty = q.back();
  auto unknown = [&](const char* why) { throw Unsupported{string(why) + " " + op}; };
  auto space = [&]() -> string {
    for (const char* s : {"shared", "global", "local", "param", "const"})
      if (has(s)) return s;
    return "";
  };
  auto vec = [&](int* dst, const string& s, int size) {
    int n = 0;
    for (auto& x : braces(s)) dst[n++] = operand(x, size);
    return n;
  };
  auto need = [&](size_t n) {
    if (a.size() < n) unknown("too few operands for");
  };
  auto nop = +[](Warp&, const Ins&, u32) {};
  if (o == "bra") {
    i.kind = BRANCH;
    fixups.push_back({(int)k->code.size(), a[0]});
  } else if (o == "brx") {
    i.kind = BRANCH;
    i.s[0] = operand(a[0], 4);
    table_fixups.push_back({(int)k->code.size(), a[1]});
  } else if (o == "ret" || o == "exit")
    i.kind = EXIT;
  else if (o == "bar" && has("warp")) {
    i.kind = WARP_SYNC;
    i.s[11] = operand(a[0], 4);
    i.fn = warp_sync;
  } else if ((o == "bar" || o == "barrier") && !has("cluster")) {
    i.kind = BARRIER;
    i.imm = 0;
    bool red = has("red");
    if (has("arrive")) i.imm = 4;
    if (red) {
      i.imm = has("popc") ? 1 : has("and") ? 2 : 3;
      i.d[0] = operand(a[0], 4);
      a.erase(a.begin());
    }
    i.s[0] = operand(a[0], 4);
    size_t preds = red ? 1 : 0;
    if (a.size() - preds > 1) i.s[1] = operand(a[1], 4);
    if (red) {
      string p = a.back();
      if (p[0] == '!') {
        i.flags |= F_NEG;
        p.erase(0, 1);
      }
      i.s[2] = operand(p, 1);
    }
  } else if (o == "ld" || o == "ldu") {
    need(2);
    i.sz = type_size(ty);
    string r = braces(a[0])[0];
    i.vn = vec(i.d, a[0], i.sz);
    i.dsz = reg_size(r, i.sz);
    memory(i, a[1], space());
    if (ty[0] == 's') i.flags |= F_SIGNED;
    i.fn = i.flags & F_SLOT ? ld_slot
           : i.sz == 1      ? ld<u8>
           : i.sz == 2      ? ld<u16>
           : i.sz == 4      ? ld<u32>
           : i.sz == 8      ? ld<u64>
                            : nullptr;
    if (!i.fn) unknown("size of");
  } else if (o == "st") {
    need(2);
    i.sz = type_size(ty);
    string r = braces(a[1])[0];
    i.vn = vec(i.s + 1, a[1], i.sz);
    i.ssz = reg_size(r, i.sz);
    memory(i, a[0], space());
    i.fn = i.flags & F_SLOT ? st_slot
           : i.sz == 1      ? st<u8>
           : i.sz == 2      ? st<u16>
           : i.sz == 4      ? st<u32>
           : i.sz == 8      ? st<u64>
                            : nullptr;
    if (!i.fn) unknown("size of");
  } else if (o == "atom" || o == "red") {
    bool at = o == "atom";
    i.sz = type_size(ty);
    if (i.sz > 8 || has("v2") || has("v4")) unknown("vector or 128-bit atomic");
    if (at) i.d[0] = operand(a[0], i.sz);
    memory(i, a[at], space());
    i.s[1] = operand(a[1 + at], i.sz);
    if (has("cas")) i.s[2] = operand(a[2 + at], i.sz);
    static const char* names[] = {"add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec"};
    int c = -1;
    for (int j = 0; j < 10; ++j)
      if (has(names[j])) c = j;
    if (c < 0) unknown("operation of");
    size_t t = std::find(atomic_types.begin(), atomic_types.end(), ty) - atomic_types.begin();
    if (t == atomic_types.size()) atomic_types.push_back(ty);
    i.imm2 = (s64)t << 8 | c;
    i.fn = atom;
  } else if (o == "shfl") {
    i.kind = WARP_SYNC;
    size_t b = a[0].find('|');
    i.d[0] = operand(a[0].substr(0, b), 4);
    if (b != string::npos) i.d[1] = operand(a[0].substr(b + 1), 1);
    for (int j = 0; j < 3; ++j) i.s[j] = operand(a[1 + j], 4);
    need(5);
    i.s[11] = operand(a[4], 4);
    i.imm = has("up") ? 0 : has("down") ? 1 : has("bfly") ? 2 : 3;
    i.fn = shfl;
  } else if (o == "vote") {
    need(3);
    i.kind = WARP_SYNC;
    i.d[0] = operand(a[0], 4);
    string p = a[1];
    if (p[0] == '!') {
      i.flags |= F_NEG;
      p.erase(0, 1);
    }
    i.s[0] = operand(p, 1);
    i.s[11] = operand(a[2], 4);
    i.imm = has("ballot") ? 0 : has("all") ? 1 : has("any") ? 2 : 3;
    i.fn = vote;
  } else if (o == "match") {
    i.kind = WARP_SYNC;
    i.sz = type_size(ty);
    size_t b = a[0].find('|');
    i.d[0] = operand(a[0].substr(0, b), 4);
    if (b != string::npos) i.d[1] = operand(a[0].substr(b + 1), 1);
    i.s[0] = operand(a[1], i.sz);
    i.s[11] = operand(a[2], 4);
    i.imm = has("all");
    i.fn = match;
  } else if (o == "redux") {
    i.kind = WARP_SYNC;
    if (ty == "f32") unknown("type of");
    i.d[0] = operand(a[0], 4);
    i.s[0] = operand(a[1], 4);
    i.s[11] = operand(a[2], 4);
    i.imm = has("add")   ? A_ADD
            : has("min") ? A_MIN
            : has("max") ? A_MAX
            : has("and") ? A_AND
            : has("or")  ? A_OR
                         : A_XOR;
    if (ty[0] == 's') i.flags |= F_SIGNED;
    i.fn = redux;
  } else if (o == "elect") {
    i.kind = WARP_SYNC;
    size_t b = a[0].find('|');
    i.d[0] = operand(a[0].substr(0, b), 4);
    i.d[1] = operand(a[0].substr(b + 1), 1);
    i.s[11] = operand(a[1], 4);
    i.fn = elect;
  } else if (o == "activemask") {
    i.d[0] = operand(a[0], 4);
    i.fn = +[](Warp& w, const Ins& i, u32 m) { LANES R<u32>(w, i.d[0])[l] = m; };
  } else if (o == "cp" && has("async") && !has("bulk") && !has("mbarrier")) {
    if (has("commit_group"))
      i.fn = cp_commit;
    else if (has("wait_group")) {
      i.imm = atoi(a[0].c_str());
      i.fn = cp_wait;
    } else if (has("wait_all")) {
      i.imm = 0;
      i.flags |= F_NEG;
      i.fn = cp_wait;
    } else {
      need(3);
      Ins g;
      memory(g, a[1], "global");
      memory(i, a[0], "shared");
      i.s[1] = g.s[0];
      i.imm2 = g.imm;
      i.sz = atoi(a[2].c_str());
      if (a.size() > 3 && !has("L2::cache_hint")) i.s[2] = operand(a[3], 4);
      i.fn = cp_async;
    }
  } else if (o == "ldmatrix") {
    i.kind = WARP_ALIGNED;
    i.vn = vec(i.d, a[0], 4);
    memory(i, a[1], "shared");
    if (has("trans")) i.flags |= F_TRANS;
    if (!has("m8n8") || ty != "b16") unknown("shape of");
    i.fn = ldmatrix;
  } else if (o == "mma") {
    i.kind = WARP_ALIGNED;
    need(4);
    int n = 0;
    vec(i.d, a[0], 4);
    n += vec(i.s, a[1], 4);
    n += vec(i.s + n, a[2], 4);
    vec(i.s + n, a[3], 4);
    bool bf = has("bf16"), tf = has("tf32"), hf = has("f16") && !bf;
    if (hf && q.back() == "f16") i.flags |= F_NEG;
    i.fn = has("m16n8k16")        ? (bf   ? mma<16, 0>
                                     : hf ? mma<16, 1>
                                          : nullptr)
           : has("m16n8k8")       ? (tf   ? mma<8, 2>
                                     : bf ? mma<8, 0>
                                     : hf ? mma<8, 1>
                                          : nullptr)
           : has("m16n8k4") && tf ? mma<4, 2>
                                  : nullptr;
    if (!i.fn) unknown("shape or type of");
  } else if (o == "membar" || o == "fence")
    i.fn = fence;
  else if (o == "griddepcontrol" || o == "nanosleep" || o == "prefetch" || o == "prefetchu" || o == "discard" ||
           o == "applypriority" || o == "pmevent")
    i.fn = nop;
  else if (o == "createpolicy") {
    i.d[0] = operand(a[0], 8);
    i.fn = +[](Warp& w, const Ins& i, u32 m) { LANES R<u64>(w, i.d[0])[l] = 0; };
  } else if (o == "trap" || o == "brkpt")
    i.fn = +[](Warp& w, const Ins& i, u32 m) {
      report("trap", &threads[w.id * 32 + __builtin_ctz(m)], i.site, 0, "the kernel executed trap");
      throw Fault{LAUNCH_FAILED};
    };
  else if (o == "isspacep") {
    i.d[0] = operand(a[0], 1);
    i.s[0] = operand(a[1], 8);
    i.imm = has("shared") ? 0 : has("local") ? 1 : 2;
    i.fn = +[](Warp& w, const Ins& i, u32 m) {
      LANES {
        const u8* p = (const u8*)R<u64>(w, i.s[0])[l];
        bool sh = (size_t)(p - S) < SSZ, gl = (size_t)(p - G) < GSZ;
        R<u8>(w, i.d[0])[l] = i.imm == 0 ? sh : i.imm == 1 ? !sh && !gl : gl;
      }
    };
  } else if (o == "call") {
    string name, args, ret;
    for (auto& x : a)
      if (x[0] == '(')
        (name.empty() ? ret : args) = x;
      else if (name.empty())
        name = x;
    if (name != "__assertfail" && name != "vprintf") unknown("call of a device function");
    int n = 0;
    for (auto& x : split(args.substr(1, args.rfind(')') - 1))) {
      auto it = slots.find(x);
      if (it == slots.end() || n == 5) unknown("argument of");
      i.s[n] = it->second.offset;
      i.s[n + 5] = it->second.size;
      ++n;
    }
    if (!ret.empty()) {
      auto it = slots.find(trim(ret.substr(1, ret.rfind(')') - 1)));
      if (it != slots.end()) i.d[0] = it->second.offset;
    }
    i.fn = name == "vprintf" ? call_printf : call_assert;
  } else if (o == "prmt") {
    i.d[0] = operand(a[0], 4);
    for (int j = 0; j < 3; ++j) i.s[j] = operand(a[1 + j], 4);
    i.imm = has("f4e") ? 1 : has("b4e") ? 2 : has("rc8") ? 3 : has("ecl") ? 4 : has("ecr") ? 5 : has("rc16") ? 6 : 0;
    i.fn = prmt;
  } else if (o == "mov" && a[1][0] == '{') {
    i.vn = braces(a[1]).size();
    i.sz = type_size(ty) / i.vn;
    i.d[0] = operand(a[0], 8);
    vec(i.s, a[1], i.sz);
    i.fn = mov_pack;
  } else if (o == "mov" && a[0][0] == '{') {
    i.vn = braces(a[0]).size();
    i.sz = type_size(ty) / i.vn;
    vec(i.d, a[0], i.sz);
    i.s[0] = operand(a[1], 8);
    i.fn = mov_unpack;
  } else if (o == "mov" && locals.count(a[1])) {
    i.d[0] = operand(a[0], 8);
    i.imm = locals[a[1]];
    i.fn = +[](Warp& w, const Ins& i, u32 m) { LANES R<u64>(w, i.d[0])[l] = (u64)w.local[l] + i.imm; };
  } else if (o == "mov" && (a[1] == "%clock" || a[1] == "%clock64" || a[1] == "%globaltimer" || a[1] == "%clock_hi" ||
                            a[1] == "%globaltimer_lo" || a[1] == "%globaltimer_hi")) {
    i.d[0] = operand(a[0], 8);
    i.sz = type_size(ty);
    i.imm = a[1].find("hi") != string::npos ? 32 : 0;
    i.fn = +[](Warp& w, const Ins& i, u32 m) { LANES store_reg(w, i.d[0], i.sz, l, executed >> i.imm); };
  } else if (o == "setp") {
    string key = "setp." + q[1] + "." + ty;
    auto it = T.find(key);
    if (it == T.end()) unknown("unknown instruction");
    need(3);
    int size = type_size(ty);
    size_t b = a[0].find('|');
    i.d[0] = operand(a[0].substr(0, b), 1);
    if (i.d[0] < 0) i.d[0] = alloc(1);
    if (b != string::npos) i.d[1] = operand(a[0].substr(b + 1), 1);
    i.s[0] = operand(a[1], size);
    i.s[1] = operand(a[2], size);
    i.fn = it->second;
    bool combined = has("and") || has("or") || has("xor");
    if (combined) {
      need(4);
      string p = a[3];
      if (p[0] == '!') {
        i.flags |= F_NEG;
        p.erase(0, 1);
      }
      i.s[2] = operand(p, 1);
      i.imm = has("and") ? 0 : has("or") ? 1 : 2;
    }
    if (combined || i.d[1] >= 0) {
      i.base = i.fn;
      i.fn = compare;
    }
  } else if (o == "cvt") {
    if (has("pack")) unknown("unknown instruction");
    string at = q.back(), dt = q[q.size() - 2];
    int mode = has("rz") || has("rzi")   ? 1
               : has("rm") || has("rmi") ? 2
               : has("rp") || has("rpi") ? 3
               : has("rna")              ? 4
                                         : 0;
    bool integral = has("rni") || has("rzi") || has("rmi") || has("rpi");
    i.d[0] = operand(a[0], 8);
    if (dt == "bf16x2" || dt == "f16x2") {
      if (at != "f32" || mode) unknown("unknown instruction");
      need(3);
      i.s[0] = operand(a[1], 4);
      i.s[1] = operand(a[2], 4);
      i.imm = has("relu");
      i.fn = dt == "f16x2" ? pack2<Half> : pack2<Bf>;
    } else {
      Num D = num(dt), A = num(at);
      if (D == NONE || A == NONE) unknown("unknown instruction");
      i.dsz = reg_size(a[0], type_size(dt));
      i.ssz = reg_size(a[1], type_size(at));
      i.s[0] = operand(a[1], i.ssz);
      i.sz = type_size(dt);
      if (is_float(D) && is_float(A) && D != A && integral) unknown("unknown instruction");
      i.imm = D | A << 8 | mode << 16 | (s64)has("sat") << 24 | (s64)(integral && is_float(D)) << 25 |
              (s64)has("relu") << 26;
      i.fn = cvt;
      if (!has("sat") && !mode && !integral && i.dsz == type_size(dt) && i.ssz == type_size(at)) {
        if (D == F32)
          i.fn = A == S32   ? cvt_fast<f32, s32>
                 : A == U32 ? cvt_fast<f32, u32>
                 : A == S64 ? cvt_fast<f32, s64>
                 : A == F64 ? cvt_fast<f32, f64>
                            : i.fn;
        else if (D == F64)
          i.fn = A == F32 ? cvt_fast<f64, f32> : A == S32 ? cvt_fast<f64, s32> : i.fn;
        else if (D == U64 || D == S64)
          i.fn = A == U32 ? cvt_fast<u64, u32> : A == S32 ? cvt_fast<s64, s32> : i.fn;
        else if (D == U32 || D == S32)
          i.fn = A == U64 || A == S64 ? cvt_fast<u32, u64> : A == U16 ? cvt_fast<u32, u16> : i.fn;
        else if (D == U16 && A == U32)
          i.fn = cvt_fast<u16, u32>;
      }
    }
  } else {
    // arithmetic: drop what changes nothing, remember what wraps
    string key;
    int mode = 0;
    bool sat = false, flt = ty[0] == 'f' || ty[0] == 'b';
    for (auto& x : q) {
      if (x == "rn" || x == "approx" || x == "full" || x == "ftz" || x == "uni" || x == "noftz") continue;
      if (flt && x == "sat") {
        sat = true;
        continue;
      }
      if (x == "rz" || x == "rm" || x == "rp") {
        mode = x == "rz" ? FE_TOWARDZERO : x == "rm" ? FE_DOWNWARD : FE_UPWARD;
        continue;
      }
      key += (key.empty() ? "" : ".") + x;
    }
    auto it = T.find(key);
    if (it == T.end()) unknown("unknown instruction");
    i.fn = it->second;
    int size = type_size(ty);
    i.sz = size;
    if (a.empty()) unknown("too few operands for");
    i.d[0] = operand(a[0], 8);
    for (size_t j = 1; j < a.size() && j < 6; ++j) {
      int z = size;
      if ((o == "shl" || o == "shr") && j == 2) z = 4;
      if (o == "bfe" && j > 1) z = 4;
      if (o == "bfi" && j > 2) z = 4;
      if (has("wide") && j == 3) z *= 2;
      if (o == "selp" && j == 3) z = 1;
      if (o == "lop3" || o == "dp4a") z = 4;
      i.s[j - 1] = operand(a[j], z);
    }
    if (mode) {
      i.base = i.fn;
      i.imm2 = mode;
      i.fn = with_rounding;
    } else if (sat) {
      if (ty != "f32") unknown("saturating");
      i.base = i.fn;
      i.fn = with_saturation;
    }
  }
}
} // namespace sim
