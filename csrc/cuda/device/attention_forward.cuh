// Attention's forward (Dao 2023, arXiv 2307.08691): a block has up to 128 query rows of one sequence and head and goes
// through the keys, 8 N at a time, with a running maximum and sum in registers. The next values are on their way while
// scores are computed, the next keys while values are added up.
#pragma once
#include "cuda/device/attention.cuh"

template <class Math, int D>
__device__ __forceinline__ void attention_forward(const AttentionProblem& p) {
  using S = typename Math::Element;
  constexpr AttentionTiles kTiles = forward_tiles(Math::kMath, D);
  constexpr int M = kTiles.m, N = kTiles.n, kKeys = 8 * N, kStride = kRowStride<S, D>;
  check_cu_seqlens(p);
  const int rows = int(blockDim.x) / 2 * M, warp = int(threadIdx.x) / 32, lane = lane_id(), g = lane / 4;
  AttentionTile tile;
  if (!find_tile(p, false, p.causal, rows, tile)) return;

  S* const queries = reinterpret_cast<S*>(dynamic_shared());
  S* const keys = queries + rows * kStride;
  S* const values = keys + kKeys * kStride;
  uint32_t* const keeps = reinterpret_cast<uint32_t*>(values + kKeys * kStride) + warp * 8 * M * kKeepWords;
  S* const own = queries + warp * 16 * M * kStride;

  const int left = tile.queries - tile.row0, first = tile.row0 + warp * 16 * M; // first: the warp's first row
  const int end = p.causal && tile.row0 + rows < tile.keys ? tile.row0 + rows : tile.keys;
  const uint32_t stream = uint32_t(tile.sequence) * uint32_t(p.heads) + uint32_t(tile.head);
  const int64_t mask = mask_unit(p, tile.sequence, tile.head);
  // Scores are in powers of two. Where nothing is added to them, their factor is applied in the exponent.
  const float scale = p.scale * kLog2E;
  const bool biased = p.mask_kind != kNoMask || !(p.scale > 0);
  const float factor = biased ? 1.f : scale;

  float o[M][D / 8][4] = {}, top[M][2], total[M][2] = {};
#pragma unroll
  for (int m = 0; m < M; m++) top[m][0] = top[m][1] = -infinity();

  load_rows<S, D>(queries, p.q, tile.first_q + tile.row0, tile.head, left, rows, p.d);
  if (end > 0) load_rows<S, D>(keys, p.k, tile.first_k, tile.head, tile.keys, kKeys, p.d);
  cp_async_commit();
  for (int key0 = 0; key0 < end; key0 += kKeys) {
    const bool busy = first < tile.queries && !(p.causal && key0 >= first + 16 * M);
    cp_async_wait<0>();
    __syncthreads(); // these keys are here, the last values done with
    load_rows<S, D>(values, p.v, tile.first_k + key0, tile.head, tile.keys - key0, kKeys, p.e);
    cp_async_commit();
    if (p.dropout && busy && key0 % 128 == 0) {
      __syncwarp();
      draw_keeps(keeps, p, stream, first, key0, 8 * M, 0, 1);
      __syncwarp();
    }
    float s[M][N][4] = {};
    if (busy) Math::template scores<D>(s, own, keys);
    cp_async_wait<0>();
    __syncthreads(); // these values are here, the keys done with
    if (key0 + kKeys < end) {
      load_rows<S, D>(keys, p.k, tile.first_k + key0 + kKeys, tile.head, tile.keys - key0 - kKeys, kKeys, p.d);
      cp_async_commit();
    }
    if (!busy) continue;

    const int column0 = key0 + lane % 4 * 2;
    if (biased) {
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            const int row = first + m * 16 + g + i / 2 * 8, column = column0 + n * 8 + i % 2;
            s[m][n][i] *= scale;
            if (p.mask_kind != kNoMask && row < tile.queries && column < tile.keys)
              s[m][n][i] += mask_bias(p, mask, row, column) * kLog2E;
          }
    }
    if (key0 + kKeys > tile.keys || (p.causal && key0 + kKeys > first + 1)) {
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            const int row = first + m * 16 + g + i / 2 * 8, column = column0 + n * 8 + i % 2;
            if (column >= tile.keys || (p.causal && column > row)) s[m][n][i] = -infinity();
          }
    }

#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int h = 0; h < 2; h++) { // the rows g and g + 8
        float found = -infinity();
#pragma unroll
        for (int n = 0; n < N; n++) found = fmaxf(found, fmaxf(s[m][n][h * 2], s[m][n][h * 2 + 1]));
        found = fmaxf(found, __shfl_xor_sync(kFullWarp, found, 1));
        found = fmaxf(found, __shfl_xor_sync(kFullWarp, found, 2));
        const float highest = fmaxf(top[m][h], found * factor);
        const float low = highest == -infinity() ? 0.f : highest; // no key so far: all exponentials are 0
        const float shrink = exp2_fast(top[m][h] - low);
        top[m][h] = highest;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
          for (int i = h * 2; i < h * 2 + 2; i++) {
            s[m][n][i] = exp2_fast(fmaf(s[m][n][i], factor, -low));
            sum += s[m][n][i];
          }
        total[m][h] = total[m][h] * shrink + sum;
#pragma unroll
        for (int j = 0; j < D / 8; j++) {
          o[m][j][h * 2] *= shrink;
          o[m][j][h * 2 + 1] *= shrink;
        }
      }
    if (p.dropout) {
      const int half0 = key0 % 128 / 16;
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
          for (int n = 0; n < N; n++) {
            const int row = m * 16 + g + h * 8;
            const uint32_t bits =
                keeps[row / 2 * kKeepWords + half0 + n / 2] >> (row % 2 * 16 + n % 2 * 8 + lane % 4 * 2);
            if (!(bits & 1)) s[m][n][h * 2] = 0;
            if (!(bits & 2)) s[m][n][h * 2 + 1] = 0;
          }
    }
    Math::template spread<D>(o, s, values);
  }
  cp_async_wait<0>();
  if (end <= 0) __syncthreads();
  if (first >= tile.queries) return;

  float inverse[M][2];
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float sum = total[m][h];
      sum += __shfl_xor_sync(kFullWarp, sum, 1);
      sum += __shfl_xor_sync(kFullWarp, sum, 2);
      inverse[m][h] = sum == 0 ? 0.f : p.drop_scale / sum;
      const int row = first + m * 16 + g + h * 8;
      if (lane % 4 == 0 && row < tile.queries)
        p.lse[int64_t(tile.head) * p.t_q + tile.first_q + row] = (top[m][h] + log2f(sum)) * kLn2;
    }
  store_rows<Math, D>(o, p.out, p.float_out, int64_t(tile.first_q) + first, tile.head, tile.queries - first, p.e, own,
                      [&](int m, int h) { return inverse[m][h]; });
}
