// ldmatrix and mma.sync. Which lane holds which element in which register is what the PTX manual's figures say; the
// tests write its formulas down a second time. Products and sums are in f32 with k ascending: the order and rounding of
// the hardware are not documented.
#include <algorithm>
#include <cstring>

#include "../binder.h"
#include "../config.h"
#include "access.h"
#include "arithmetic.h"
#include "numbers.h"

namespace cudasim {

namespace {

constexpr int kRows = 8; // of an 8x8 matrix of 16-bit elements; lanes 8m to 8m+7 give the row addresses of matrix m
constexpr int kRowBytes = 16;

void load_matrix(Warp& w, const Instruction& i, u32) {
  const u32 givers = i.count == 4 ? kAllLanes : (1u << kRows * i.count) - 1;
  const Reach rows(w, i, givers, kRowBytes);
  if (config.profile) count_access(i, rows);
  const u32 allowed = permitted(w, i.range, i, rows, kShared, Access::kRead);
  for (int m = 0; m < i.count; ++m) {
    u16 matrix[kRows][kRows];
    memset(matrix, 0xff, sizeof matrix);
    for (int r = 0; r < kRows; ++r) {
      const int lane = m * kRows + r;
      if (allowed >> lane & 1) memcpy(matrix[r], reinterpret_cast<const void*>(rows.at[lane]), kRowBytes);
    }
    u32* d = lanes<u32>(w, i.out[m]);
    const bool transposed = i.flags & kTransposed;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int row = lane / 4;
      const int column = lane % 4 * 2;
      const u16 low = transposed ? matrix[column][row] : matrix[row][column];
      const u16 high = transposed ? matrix[column + 1][row] : matrix[row][column + 1];
      d[lane] = low | u32(high) << 16;
    }
  }
}

void bind_load_matrix(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  if (!op.has("m8n8") || op.type() != "b16") b.unknown("shape of");
  i.kind = Kind::kWholeWarp;
  i.count = u8(b.vector(i.out, b.operands[0], 4, 4));
  b.address(i, b.operands[1], "shared");
  if (op.has("trans")) i.flags |= kTransposed;
  i.run = load_matrix;
}

enum class Element { kBFloat, kHalf, kTF32 };

template <Element kElement>
struct Format {
  static constexpr int kPerRegister = kElement == Element::kTF32 ? 1 : 2;
  static f32 value(u32 bits, int which) {
    if (kElement == Element::kTF32) return bits_as<f32>(bits & ~0x1fffu);
    if (kElement == Element::kBFloat) return bits_as<f32>(which ? bits & 0xffff0000u : bits << 16);
    return Half{u16(bits >> (16 * which))};
  }
};

constexpr int kM = 16;
constexpr int kN = 8;

// D = A B + C for A (16 x K), B (K x 8). With group = lane / 4 and t = lane % 4, and P elements a register:
//   A, register r: row group + 8 (r % 2), columns P t + 4 P (r / 2) and on
//   B, register r: rows P t + 4 P r and on, column group
//   C and D, register r: row group + 8 (r / 2), column 2 t + r % 2
template <int K, Element kElement>
void multiply(Warp& w, const Instruction& i, u32) {
  constexpr int P = Format<kElement>::kPerRegister;
  constexpr int kARegisters = kM * K / kLanes / P;
  constexpr int kBRegisters = kN * K / kLanes / P;
  constexpr int kCRegisters = 4;
  alignas(64) f32 a[kM][K];
  alignas(64) f32 b[K][kN];
  alignas(64) f32 c[kM][kN];
  const bool half_sums = i.flags & kHalfSums;
  const int* c_in = i.in + kARegisters + kBRegisters;
  for (int r = 0; r < kARegisters; ++r) {
    const u32* bits = lanes<u32>(w, i.in[r]);
    for (int lane = 0; lane < kLanes; ++lane)
      for (int e = 0; e < P; ++e)
        a[lane / 4 + 8 * (r % 2)][P * (lane % 4) + 4 * P * (r / 2) + e] = Format<kElement>::value(bits[lane], e);
  }
  for (int r = 0; r < kBRegisters; ++r) {
    const u32* bits = lanes<u32>(w, i.in[kARegisters + r]);
    for (int lane = 0; lane < kLanes; ++lane)
      for (int e = 0; e < P; ++e) b[P * (lane % 4) + 4 * P * r + e][lane / 4] = Format<kElement>::value(bits[lane], e);
  }
  for (int r = 0; r < kCRegisters; ++r) {
    const u32* bits = lanes<u32>(w, half_sums ? c_in[r / 2] : c_in[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const f32 value = half_sums ? f32(Half{u16(bits[lane] >> 16 * (r % 2))}) : bits_as<f32>(bits[lane]);
      c[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2] = value;
    }
  }
  for (int row = 0; row < kM; ++row)
    for (int k = 0; k < K; ++k)
      for (int column = 0; column < kN; ++column) c[row][column] += a[row][k] * b[k][column];
  if (half_sums) {
    for (int r = 0; r < 2; ++r) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const f32* pair = &c[lane / 4 + 8 * r][2 * (lane % 4)];
        lanes<u32>(w, i.out[r])[lane] = Half::of(pair[0]).bits | u32(Half::of(pair[1]).bits) << 16;
      }
    }
    return;
  }
  for (int r = 0; r < kCRegisters; ++r) {
    f32* d = lanes<f32>(w, i.out[r]);
    for (int lane = 0; lane < kLanes; ++lane) d[lane] = c[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
  }
}

Operation find_product(const Opcode& op) {
  const bool bfloat = op.has("bf16");
  const bool half = op.has("f16") && !bfloat;
  const bool tf32 = op.has("tf32");
  if (op.has("m16n8k16"))
    return bfloat ? multiply<16, Element::kBFloat> : half ? multiply<16, Element::kHalf> : nullptr;
  if (op.has("m16n8k8") && tf32) return multiply<8, Element::kTF32>;
  if (op.has("m16n8k8")) return bfloat ? multiply<8, Element::kBFloat> : half ? multiply<8, Element::kHalf> : nullptr;
  if (op.has("m16n8k4") && tf32) return multiply<4, Element::kTF32>;
  return nullptr;
}

void bind_multiply(Binder& b, Instruction& i, const Opcode& op) {
  i.run = find_product(op);
  if (!i.run) b.unknown("shape or type of");
  b.need(4);
  i.kind = Kind::kWholeWarp;
  if (op.type() == "f16") i.flags |= kHalfSums;
  b.vector(i.out, b.operands[0], 4, 4);
  int next = 0;
  for (int k = 1; k <= 3; ++k) next += b.vector(i.in + next, b.operands[k], 4, kMask - next);
}

} // namespace

void register_matrix(Registry& r) {
  r.add("ldmatrix", bind_load_matrix);
  r.add("mma", bind_multiply);
}

} // namespace cudasim
