// One block computes one tile of C, kSpan × kSpan, or a part of k's share of it: copies run kStages - 1 tiles ahead of
// Core, which multiplies what has arrived and keeps the sums in registers; at the end the sums go through shared
// memory, a slice of each warp's rows at a time, to be written in whole 128-byte lines.
#pragma once
#include "cuda/device/gemm_epilogue.cuh"
#include "cuda/device/gemm_tile.cuh"

// A tile of C and its place in the grid: eight rows of tiles go together through all columns, so that blocks that run
// at the same time share operands in the second-level cache.
struct GemmPlace {
  int64_t batch, row, column;
};
template <int kSpan>
__device__ __forceinline__ GemmPlace gemm_place(const GemmProduct& q) {
  const int64_t tiles = int64_t(q.tiles_m) * q.tiles_n, batch = int64_t(blockIdx.x) / tiles;
  const int64_t tile = int64_t(blockIdx.x) - batch * tiles, group = tile / (8 * int64_t(q.tiles_n));
  const int in_group = int(tile - group * 8 * q.tiles_n);
  const int height = int(q.tiles_m - group * 8 < 8 ? q.tiles_m - group * 8 : 8);
  return {q.first + batch, (group * 8 + in_group % height) * kSpan, int64_t(in_group / height) * kSpan};
}

template <class T, class Core>
__device__ __forceinline__ void gemm_run(const GemmProduct& q) {
  constexpr int kSpan = Core::kSpan, kStages = Core::kStages, kThreads = Core::kThreads;
  constexpr bool kNarrow = kSpan == 64; // unaligned operands are left to the small tile
  using LoadA = GemmLoader<T, Core::kAOuter, kSpan, kThreads, kNarrow>;
  using LoadB = GemmLoader<T, Core::kBOuter, kSpan, kThreads, kNarrow>;
  constexpr int kDepth = LoadA::kDepth, kStage = LoadA::kBytes + LoadB::kBytes;
  static_assert(Core::kWarpRows / Core::kSliceRows <= 2, "a first and a last slice");
  static_assert(Core::kStagingBytes <= kStages * kStage, "results leave through the operands' memory");
  unsigned char* const shared = dynamic_shared();

  const GemmPlace place = gemm_place<kSpan>(q);
  const int64_t depths = (q.k + kDepth - 1) / kDepth, all = depths * q.summed.count;
  const int64_t begin = all * blockIdx.y / q.parts, end = all * (blockIdx.y + 1) / q.parts;
  const int steps = int(end - begin);

  LoadA load_a;
  LoadB load_b;
  int next = 0; // the step with which the next term of the sum begins
  auto fetch = [&](int step) {
    if (step < steps) {
      if (step == next) {
        const int64_t term = (begin + step) / depths, depth = begin + step - term * depths;
        const GemmOffsets origin = offsets_of(q.batch, place.batch), more = offsets_of(q.summed, term);
        load_a.seek(q.a, place.row, q.m, origin.a + more.a, depth * kDepth);
        load_b.seek(q.b, place.column, q.n, origin.b + more.b, depth * kDepth);
        next = step + int(depths - depth);
      }
      unsigned char* tile = shared + step % kStages * kStage;
      const int depth_left = step + 1 == next ? int((q.k - 1) % kDepth) + 1 : kDepth;
      load_a.copy(q.a, tile, depth_left);
      load_b.copy(q.b, tile + LoadA::kBytes, depth_left);
    }
    cp_async_commit();
  };

  Core core;
  core.start();
  GemmRowSums<T, kSpan, kThreads> row_sums;
  const bool sums = Core::kAOuter && q.row_sums && place.column == 0;
  if (Core::kAOuter) row_sums.clear();

  // One loop also for the first kStages - 1 copies, so that their code is there once.
#pragma unroll 1
  for (int step = 1 - kStages; step < steps; step++) {
    if (step >= 0) {
      cp_async_wait<kStages - 2>();
      __syncthreads();
    }
    fetch(step + kStages - 1);
    if (step < 0) continue;
    const unsigned char* tile = shared + step % kStages * kStage;
    core.step(tile, tile + LoadA::kBytes);
    if (Core::kAOuter && sums) row_sums.add(tile);
  }
  cp_async_wait<0>();
  __syncthreads();

  if (Core::kAOuter && sums) {
    const float sum = row_sums.total(reinterpret_cast<float*>(shared));
    const int64_t row = place.row + threadIdx.x;
    if (threadIdx.x < kSpan && row < q.m) {
      if (q.partial)
        q.partial[q.parts * q.batch.count * q.m * q.n + blockIdx.y * q.m + row] = sum;
      else
        static_cast<T*>(q.row_sums)[row] = from_float<T>(sum);
    }
  }

  constexpr int kColumns = Core::kWarpColumns, kRow = kColumns + 8, kRows = Core::kSliceRows, kLanes = kColumns / 4;
  const int64_t offset = offsets_of(q.batch, place.batch).c;
  const int lane = int(threadIdx.x) % 32;
  float* const staged = reinterpret_cast<float*>(shared) + int(threadIdx.x) / 32 * kRows * kRow;
  const int64_t column = place.column + core.warp_column() + lane % kLanes * 4;
#pragma unroll 1
  for (int slice = 0; slice < Core::kWarpRows / kRows; slice++) {
    if (slice == 0) // sums must be named at compile time
      core.stage(0, staged);
    else
      core.stage(Core::kWarpRows / kRows - 1, staged);
    __syncwarp();
    const int64_t first = place.row + core.warp_row() + slice * kRows;
#pragma unroll 1
    for (int r = lane / kLanes; r < kRows; r += 32 / kLanes) {
      if (first + r >= q.m || column >= q.n) continue;
      float v[4];
      load4(staged + r * kRow + lane % kLanes * 4, v);
      if (q.partial)
        put4(q.partial + ((blockIdx.y * q.batch.count + place.batch) * q.m + first + r) * q.n + column,
             int(q.n - column < 4 ? q.n - column : 4), q.n % 4 == 0, v);
      else
        finish4<T>(q, offset, first + r, column, v);
    }
    __syncwarp();
  }
}
