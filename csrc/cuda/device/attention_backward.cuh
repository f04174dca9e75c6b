// Attention's backward. With P the probabilities, F the dropout's factors and delta = rowsum(dO * O):
//
//   dV = (P * F)^T dO,  dS = P * (F * dO V^T - delta),  dQ = scale dS K,  dK = scale dS^T Q
//
// Two kernels of one form: a block keeps rows of two tensors and goes through columns of the two others, two products
// make P and dS of rows x columns in registers, and these multiply the columns straight away. With queries as rows that
// gives dQ, with keys as rows (scores transposed) dK and dV. Scores are computed twice, and in return nothing is summed
// across blocks: no atomics, no partial results, the same bits every run.
#pragma once
#include "cuda/device/attention.cuh"

template <class Math, int D, bool kKeyRows>
__device__ __forceinline__ void attention_backward(const AttentionProblem& p) {
  using S = typename Math::Element;
  constexpr AttentionTiles kTiles = backward_tiles(Math::kMath, D);
  constexpr int M = kTiles.m, N = kTiles.n, kColumns = 8 * N, kStride = kRowStride<S, D>;
  if (!kKeyRows) check_cu_seqlens(p);
  const int rows = int(blockDim.x) / 2 * M, warp = int(threadIdx.x) / 32, lane = lane_id(), g = lane / 4;
  AttentionTile tile;
  if (!find_tile(p, kKeyRows, !kKeyRows && p.causal, rows, tile)) return;

  // Rows: q and dO, or k and v. Columns: k and v, or q and dO, in two stages.
  S* const rows1 = reinterpret_cast<S*>(dynamic_shared());
  S* const rows2 = rows1 + rows * kStride;
  S* const columns = rows2 + rows * kStride;
  float* const column_lse = reinterpret_cast<float*>(columns + 4 * kColumns * kStride); // and delta
  uint32_t* const keeps = reinterpret_cast<uint32_t*>(column_lse + 4 * kColumns);
  S *const own1 = rows1 + warp * 16 * M * kStride, *const own2 = rows2 + warp * 16 * M * kStride;
  uint32_t* const own_keeps = keeps + warp * 8 * M * kKeepWords;

  const int row_token = kKeyRows ? tile.first_k : tile.first_q, row_count = kKeyRows ? tile.keys : tile.queries;
  const int column_token = kKeyRows ? tile.first_q : tile.first_k, column_count = kKeyRows ? tile.queries : tile.keys;
  const int first = tile.row0 + warp * 16 * M; // the warp's first row
  const int begin = kKeyRows && p.causal ? tile.row0 / kColumns * kColumns : 0;
  const int end = !kKeyRows && p.causal && tile.row0 + rows < column_count ? tile.row0 + rows : column_count;
  const uint32_t stream = uint32_t(tile.sequence) * uint32_t(p.heads) + uint32_t(tile.head);
  const int64_t mask = mask_unit(p, tile.sequence, tile.head);
  const float scale = p.scale * kLog2E;
  const int64_t of_queries = int64_t(tile.head) * p.t_q + tile.first_q; // into lse and delta

  auto lse_of = [&](int query) { // a query that saw nothing: exp(s - inf) = 0
    const float lse = query < tile.queries ? p.lse[of_queries + query] : -infinity();
    return lse == -infinity() ? infinity() : lse * kLog2E;
  };
  auto delta_of = [&](int query) { return query < tile.queries ? p.delta[of_queries + query] : 0.f; };
  auto load_columns = [&](int column0, int stage) {
    S* const to = columns + stage * 2 * kColumns * kStride;
    const int valid = column_count - column0;
    load_rows<S, D>(to, kKeyRows ? p.q : p.k, column_token + column0, tile.head, valid, kColumns, p.d);
    load_rows<S, D>(to + kColumns * kStride, kKeyRows ? p.dout : p.v, column_token + column0, tile.head, valid,
                    kColumns, p.e);
    cp_async_commit();
    if (kKeyRows) {
      for (int i = int(threadIdx.x); i < kColumns; i += int(blockDim.x)) {
        column_lse[stage * 2 * kColumns + i] = lse_of(column0 + i);
        column_lse[stage * 2 * kColumns + kColumns + i] = delta_of(column0 + i);
      }
      if (p.dropout)
        draw_keeps(keeps + stage * kColumns / 2 * kKeepWords, p, stream, column0, tile.row0, kColumns / 2, warp,
                   int(blockDim.x) / 32);
    }
  };

  float row_lse[M][2], row_delta[M][2];
  if (!kKeyRows) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        row_lse[m][h] = lse_of(first + m * 16 + g + h * 8);
        row_delta[m][h] = delta_of(first + m * 16 + g + h * 8);
      }
  }
  float sum1[M][D / 8][4] = {}, sum2[kKeyRows ? M : 1][D / 8][4] = {}; // dQ; or dK and dV

  load_rows<S, D>(rows1, kKeyRows ? p.k : p.q, row_token + tile.row0, tile.head, row_count - tile.row0, rows, p.d);
  load_rows<S, D>(rows2, kKeyRows ? p.v : p.dout, row_token + tile.row0, tile.head, row_count - tile.row0, rows, p.e);
  if (begin < end)
    load_columns(begin, 0);
  else
    cp_async_commit();
  int stage = 0;
  for (int column0 = begin; column0 < end; column0 += kColumns, stage ^= 1) {
    cp_async_wait<0>();
    __syncthreads(); // these columns are here, the other stage is done with
    if (column0 + kColumns < end) load_columns(column0 + kColumns, stage ^ 1);
    if (first >= row_count) continue;
    if (p.causal && (kKeyRows ? column0 + kColumns <= first : column0 >= first + 16 * M)) continue;
    if (!kKeyRows && p.dropout && (column0 % 128 == 0)) {
      __syncwarp();
      draw_keeps(own_keeps, p, stream, first, column0, 8 * M, 0, 1);
      __syncwarp();
    }
    const S *const columns1 = columns + stage * 2 * kColumns * kStride, *const columns2 = columns1 + kColumns * kStride;
    const float* const lse = column_lse + stage * 2 * kColumns;
    float s[M][N][4] = {}, g_s[M][N][4] = {};
    Math::template scores<D>(s, own1, columns1);
    Math::template scores<D>(g_s, own2, columns2);

    const bool edge = column0 + kColumns > column_count ||
                      (p.causal && (kKeyRows ? column0 < first + 16 * M - 1 : column0 + kColumns > first + 1));
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int c = n * 8 + lane % 4 * 2; // the first of the lane's two columns
      float2 c_lse, c_delta;
      if (kKeyRows) {
        c_lse = *reinterpret_cast<const float2*>(lse + c);
        c_delta = *reinterpret_cast<const float2*>(lse + kColumns + c);
      }
#pragma unroll
      for (int m = 0; m < M; m++) {
        uint32_t kept[2] = {~0u, ~0u}; // of the rows g and g + 8: bits 0 and 1 are the two columns
        if (p.dropout) {
          if (kKeyRows) { // word: two queries and 16 keys
            const uint32_t word = keeps[(stage * kColumns + c) / 2 * kKeepWords + (first + m * 16) % 128 / 16];
            kept[0] = (word >> g & 1) | (word >> (g + 16) & 1) << 1;
            kept[1] = (word >> (g + 8) & 1) | (word >> (g + 24) & 1) << 1;
          } else {
            const int half = (column0 % 128 + n * 8) / 16;
#pragma unroll
            for (int h = 0; h < 2; h++) {
              const int row = m * 16 + g + h * 8;
              kept[h] = own_keeps[row / 2 * kKeepWords + half] >> (row % 2 * 16 + n % 2 * 8 + lane % 4 * 2);
            }
          }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = first + m * 16 + g + i / 2 * 8, column = column0 + c + i % 2;
          const int query = kKeyRows ? column : row, key = kKeyRows ? row : column;
          const float low = kKeyRows ? (i % 2 ? c_lse.y : c_lse.x) : row_lse[m][i / 2];
          const float delta = kKeyRows ? (i % 2 ? c_delta.y : c_delta.x) : row_delta[m][i / 2];
          float x = fmaf(s[m][n][i], scale, -low), dp = g_s[m][n][i];
          if (p.mask_kind != kNoMask && query < tile.queries && key < tile.keys)
            x += mask_bias(p, mask, query, key) * kLog2E;
          float probability = exp2_fast(x);
          if (p.dropout) dp = kept[i / 2] >> i % 2 & 1 ? dp * p.drop_scale : 0.f;
          float ds = probability * (dp - delta);
          if (p.dropout) probability = kept[i / 2] >> i % 2 & 1 ? probability * p.drop_scale : 0.f;
          if (edge && (column >= column_count || (p.causal && key > query))) probability = ds = 0;
          s[m][n][i] = probability;
          g_s[m][n][i] = ds;
        }
      }
    }
    if constexpr (kKeyRows) Math::template spread<D>(sum2, s, columns2);
    Math::template spread<D>(sum1, g_s, columns1);
  }
  cp_async_wait<0>();
  if (begin >= end) __syncthreads();
  if (first >= row_count) return;
  const int64_t token = int64_t(row_token) + first;
  store_rows<Math, D>(sum1, kKeyRows ? p.dk : p.dq, p.float_out, token, tile.head, row_count - first, p.d, own1,
                      [&](int, int) { return p.scale; });
  if constexpr (kKeyRows)
    store_rows<Math, D>(sum2, p.dv, p.float_out, token, tile.head, row_count - first, p.e, own2,
                        [&](int, int) { return 1.f; });
}
