// What attention's forward and backward kernels share: which rows a block has, its tiles, masks and dropout.
#pragma once
#include "cuda/device/attention_math.cuh"
#include "cuda/device/attention_problem.cuh"
#include "cuda/device/philox.cuh"

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The rows of a block: [row0, row0 + rows) of one side of a sequence, and how long both sides are.
struct AttentionTile {
  int sequence, head, row0;
  int first_q, queries, first_k, keys; // tokens
};

// Sequence s has the blocks from cu[s] / rows + s on: enough for all its rows, at most one too many, and known without
// adding up lengths. The sequence of a block is found by all warps alike, 32 guesses at a time. Nothing of cu is
// believed that could lead out of the tensors. `reverse`: a sequence's last rows first. False: nothing to do.
__device__ __forceinline__ bool find_tile(const AttentionProblem& p, bool by_keys, bool reverse, int rows,
                                          AttentionTile& tile) {
  const int32_t* cu = by_keys ? p.cu_k : p.cu_q;
  const int shift = __ffs(rows) - 1, slot = int(blockIdx.x % unsigned(p.slots)), lane = lane_id();
  tile.head = int(blockIdx.x / unsigned(p.slots));
  int s = 0;
  for (int range = p.sequences; range > 1;) {
    const int step = (range + 31) / 32, guess = s + lane * step;
    const bool here = lane * step < range && (cu[guess] >> shift) + guess <= slot;
    const unsigned beyond = ~__ballot_sync(kFullWarp, here);
    const int found = beyond ? __ffs(beyond) - 1 : 32, skip = found > 0 ? (found - 1) * step : 0;
    s += skip;
    range = range - skip < step ? range - skip : step;
  }
  if (s >= p.sequences) return false; // there are none
  const int q0 = p.cu_q[s], q1 = p.cu_q[s + 1], k0 = p.cu_k[s], k1 = p.cu_k[s + 1];
  if (q0 < 0 || q1 < q0 || q1 > p.t_q || k0 < 0 || k1 < k0 || k1 > p.t_k) return false;
  const int before = s > lane ? s - lane : 0; // where numbers fall, sequences overlap: the later one is left alone
  if (__any_sync(kFullWarp, p.cu_q[before] > q0 || p.cu_k[before] > k0)) return false;
  const int length = by_keys ? k1 - k0 : q1 - q0, tiles = (length + rows - 1) >> shift;
  const int number = slot - s - ((by_keys ? k0 : q0) >> shift);
  if (number < 0 || number >= tiles) return false;
  if (p.mask_kind != kNoMask && (q1 - q0 != p.mask_q || k1 - k0 != p.mask_k)) {
    fault(static_cast<Fault*>(p.faults), p.site_q, s, q1 - q0, p.mask_q);
    return false;
  }
  tile.sequence = s;
  tile.row0 = (reverse ? tiles - 1 - number : number) * rows;
  tile.first_q = q0;
  tile.queries = q1 - q0;
  tile.first_k = k0;
  tile.keys = k1 - k0;
  return true;
}

// Reports numbers of cu_seqlens that do not rise from 0 to the number of tokens. There are more threads than numbers.
__device__ __forceinline__ void check_cu_seqlens(const AttentionProblem& p) {
  if (blockIdx.x >= unsigned(p.slots)) return;
  const int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i > p.sequences) return;
  auto check = [&](const int32_t* cu, int total, int site) {
    const int value = cu[i], before = i ? cu[i - 1] : 0;
    if (value < before || value > total || (i == 0 && value != 0) || (i == p.sequences && value != total))
      fault(static_cast<Fault*>(p.faults), site, i, value, total);
  };
  check(p.cu_q, p.t_q, p.site_q);
  check(p.cu_k, p.t_k, p.site_k);
}

// Which row a thread copies a piece of: of short rows, eight neighbouring threads have two that share no bank.
template <int kPieces>
__device__ __forceinline__ int row_of_lane(int thread) {
  const int row = thread / kPieces;
  return kPieces == 4 ? row / 8 * 8 + row / 2 % 4 + row % 2 * 4 : row;
}

// Rows [0, rows) of a head from `token` on to shared memory: `width` elements each, zeros up to D and past `valid`
// rows.
template <class S, int D>
__device__ __forceinline__ void load_rows(S* to, const AttentionHeads& x, int64_t token, int head, int valid, int rows,
                                          int width) {
  constexpr int kEach = 16 / sizeof(S), kPieces = D / kEach, kStride = kRowStride<S, D>;
  const int column = int(threadIdx.x) % kPieces * kEach, apart = int(blockDim.x) / kPieces;
  const bool inside = column < width;
  int row = row_of_lane<kPieces>(int(threadIdx.x));
  const S* from = static_cast<const S*>(x.data) + (token + row) * x.row + head * x.head + column;
  to += row * kStride + column;
#pragma unroll 2
  for (; row < rows; row += apart, from += apart * x.row, to += apart * kStride)
    cp_async16(to, from, inside && row < valid);
}

// What is added to the score in that row and column; at: the unit's place in the mask.
__device__ __forceinline__ float mask_bias(const AttentionProblem& p, int64_t at, int row, int column) {
  at += row * p.mask_stride[2] + column * p.mask_stride[3];
  if (p.mask_kind == kBoolMask) return static_cast<const uint8_t*>(p.mask)[at] ? 0.f : -infinity();
  if (p.mask_kind == kFloatMask) return static_cast<const float*>(p.mask)[at];
  return to_float(static_cast<const bf16*>(p.mask)[at]);
}
__device__ __forceinline__ int64_t mask_unit(const AttentionProblem& p, int sequence, int head) {
  if (p.mask_kind == kNoMask) return 0;
  const int64_t unit = int64_t(sequence) * p.heads + head;
  return unit / p.mask_heads * p.mask_stride[0] + unit % p.mask_heads * p.mask_stride[1];
}

// Dropout's decisions about pairs of rows (queries) and the 128 columns (keys) around `column`: the halves of a draw
// belong to columns 16 apart, so that 16 lanes draw for one row and a ballot makes words of them. Word [pair][half] has
// the 16 columns of that half: the even row's in its low 16 bits, the odd row's in its high ones. A warp makes the
// pairs `from`, from + `step`, …
__device__ __forceinline__ void draw_keeps(uint32_t* words, const AttentionProblem& p, uint32_t stream, int row,
                                           int column, int pairs, int from, int step) {
  const int lane = lane_id();
  for (int pair = from; pair < pairs; pair += step) {
    const Words draw = philox(uint32_t(column / 128 * 16 + lane % 16), uint32_t(row + pair * 2 + lane / 16), p.call,
                              stream, p.k0, p.k1);
    uint32_t mine = 0;
#pragma unroll
    for (int half = 0; half < 8; half++) {
      const uint32_t kept = __ballot_sync(kFullWarp, half_of(draw, half) < p.threshold);
      if (lane == half) mine = kept;
    }
    if (lane < kKeepWords) words[pair * kKeepWords + lane] = mine;
  }
}

// A warp's 16 M rows of results, those below `valid`, to x: times `factor(m, i)` of each row half. Sixteen-bit results
// go through the warp's own rows in shared memory, which are no longer needed, to be written 16 bytes at a time.
template <class Math, int D, int M, class Factor>
__device__ __forceinline__ void store_rows(const float (&o)[M][D / 8][4], const AttentionHeads& x, bool float_out,
                                           int64_t token, int head, int valid, int width, typename Math::Element* stage,
                                           const Factor& factor) {
  const int lane = lane_id(), g = lane / 4;
  const int64_t base = token * x.row + head * x.head;
  if (float_out) {
    float* to = static_cast<float*>(x.data) + base;
    const bool pairs = ((reinterpret_cast<uintptr_t>(to) / 4 | uintptr_t(x.row)) & 1) == 0;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int row = m * 16 + g + i * 8;
        if (row >= valid) continue;
        const float f = factor(m, i);
#pragma unroll
        for (int j = 0; j < D / 8; j++) {
          const int c = Math::column(j);
          const float2 v = {o[m][j][i * 2] * f, o[m][j][i * 2 + 1] * f};
          float* at = to + row * x.row + c;
          if (pairs && c + 1 < width) {
            *reinterpret_cast<float2*>(at) = v;
          } else {
            if (c < width) at[0] = v.x;
            if (c + 1 < width) at[1] = v.y;
          }
        }
      }
    return;
  }
  if constexpr (sizeof(typename Math::Element) == 2) {
    constexpr int kStride = kRowStride<bf16, D>, kPieces = D / 8;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float f = factor(m, i);
#pragma unroll
        for (int j = 0; j < D / 8; j++)
          *reinterpret_cast<uint32_t*>(stage + (m * 16 + g + i * 8) * kStride + Math::column(j)) =
              pack_bf16(o[m][j][i * 2] * f, o[m][j][i * 2 + 1] * f);
      }
    __syncwarp();
    bf16* to = static_cast<bf16*>(x.data) + base;
    const bool whole = width % 8 == 0 && aligned16(to) && x.row % 8 == 0;
    const int c = lane % kPieces * 8;
    for (int row = row_of_lane<kPieces>(lane); row < 16 * M && row < valid; row += 32 / kPieces) {
      const bf16* from = stage + row * kStride + c;
      bf16* at = to + row * x.row + c;
      if (whole) {
        if (c < width) store16(at, load16(from));
      } else {
        for (int i = 0; i < 8 && c + i < width; i++) at[i] = from[i];
      }
    }
    __syncwarp();
  }
}
