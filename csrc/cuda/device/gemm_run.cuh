// One block computes one tile of C, kSpan × kSpan, or a part of k's share of it: copies run kStages - 1 tiles ahead of
// Core, which multiplies what has arrived and keeps the sums in registers; at the end the sums go through shared
// memory, a slice of each warp's rows at a time, to be written in whole 128-byte lines.
#pragma once
#include "cuda/device/gemm_epilogue.cuh"
#include "cuda/device/gemm_tile.cuh"

__device__ __forceinline__ int gemm_part(int64_t left, int most) { return left < most ? int(left) : most; }

// Of grouped products: the group, and where it lies. Group g has the rows of tiles from (its first row) / kSpan + g on:
// enough for all its rows, at most one too many, and known without adding up lengths. All threads call it and look at
// all ends; where they do not rise within the dimension, all groups are empty. k: the product's, and then the group's.
template <int kSpan>
__device__ __forceinline__ void gemm_group(const GemmProduct& q, GemmPlace& place, int64_t& k) {
  const bool rows = q.grouped == GemmGrouped::rows;
  const int64_t total = rows ? q.m : q.k;
  const int slot = int(place.row / kSpan);
  int group = rows ? 0 : int(place.batch);
  bool wrong = false;
#pragma unroll 1
  for (int i = int(threadIdx.x); i - int(threadIdx.x) < q.groups; i += int(blockDim.x)) {
    const bool real = i < q.groups;
    const int end = real ? q.ends[i] : 0, begin = real && i ? q.ends[i - 1] : 0;
    if (real && (end < begin || end > total)) {
      wrong = true;
      fault(static_cast<Fault*>(q.faults), q.site, i, end, total);
    }
    const int passed = __syncthreads_count(real && end / kSpan + i < slot);
    if (rows) group += passed;
  }
  wrong = __syncthreads_or(wrong);
  if (wrong && rows) group = q.groups;
  const int begin = wrong || group == 0 ? 0 : q.ends[group - 1];
  if (rows) { // the rows after the last group are one more group, with nothing to add up
    const bool behind = group == q.groups;
    place.batch = behind ? 0 : group;
    place.row = begin + (slot - (wrong ? 0 : begin / kSpan + group)) * int64_t(kSpan);
    place.rows = gemm_part((behind ? total : q.ends[group]) - place.row, kSpan);
    k = behind ? 0 : k;
  } else {
    place.first_k = begin;
    k = wrong ? 0 : q.ends[group] - begin;
  }
}

// The block's tile. Eight rows of tiles go together through all columns, so that blocks that run at the same time share
// operands in the second-level cache.
template <int kSpan, int kDepth>
__device__ __forceinline__ GemmPlace gemm_place(const GemmProduct& q) {
  const int64_t tiles = int64_t(q.tiles_m) * q.tiles_n, batch = int64_t(blockIdx.x) / tiles;
  const int64_t tile = int64_t(blockIdx.x) - batch * tiles, group = tile / (8 * int64_t(q.tiles_n));
  const int in_group = int(tile - group * 8 * q.tiles_n);
  const int height = int(q.tiles_m - group * 8 < 8 ? q.tiles_m - group * 8 : 8);
  const int64_t row = (group * 8 + in_group % height) * kSpan, column = int64_t(in_group / height) * kSpan;
  int64_t k = q.k;
  GemmPlace place;
  place.batch = q.first + batch, place.row = row, place.column = column, place.first_k = 0;
  place.rows = gemm_part(q.m - row, kSpan), place.columns = gemm_part(q.n - column, kSpan);
  if (q.grouped != GemmGrouped::none) gemm_group<kSpan>(q, place, k);
  place.depths = int((k + kDepth - 1) / kDepth), place.last = int((k - 1) % kDepth) + 1;
  const int64_t all = place.depths * q.summed.count;
  place.begin = int(all * blockIdx.y / q.parts);
  place.steps = int(all * (blockIdx.y + 1) / q.parts - place.begin);
  return place;
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

  // In shared memory: the main loop needs the registers.
  GemmPlace& place = *reinterpret_cast<GemmPlace*>(shared + kStages * kStage);
  {
    const GemmPlace found = gemm_place<kSpan, kDepth>(q);
    if (found.rows <= 0) return;
    if (threadIdx.x == 0) place = found;
  }
  __syncthreads();
  const int steps = place.steps;

  LoadA load_a;
  LoadB load_b;
  load_a.left = place.rows, load_b.left = place.columns;
  int next = 0; // the step with which the next term of the sum begins
  auto fetch = [&](int step) {
    if (step < steps) {
      if (step == next) {
        const int at = place.begin + step, term = at / place.depths, depth = at - term * place.depths;
        const GemmOffsets origin = offsets_of(q.batch, place.batch), more = offsets_of(q.summed, term);
        load_a.seek(q.a, place.row, origin.a + more.a, place.first_k + int64_t(depth) * kDepth);
        load_b.seek(q.b, place.column, origin.b + more.b, place.first_k + int64_t(depth) * kDepth);
        next = step + place.depths - depth;
      }
      unsigned char* tile = shared + step % kStages * kStage;
      const int depth_left = step + 1 == next ? place.last : kDepth;
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
  const int64_t product = q.grouped == GemmGrouped::rows ? 0 : place.batch, offset = offsets_of(q.batch, product).c;
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
    const int first = core.warp_row() + slice * kRows;
#pragma unroll 1
    for (int r = lane / kLanes; r < kRows; r += 32 / kLanes) {
      if (first + r >= place.rows || column >= q.n) continue;
      const int64_t row = place.row + first + r;
      float v[4];
      load4(staged + r * kRow + lane % kLanes * 4, v);
      if (q.partial)
        put4(q.partial + ((blockIdx.y * q.batch.count + product) * q.m + row) * q.n + column,
             int(q.n - column < 4 ? q.n - column : 4), q.n % 4 == 0, v);
      else
        finish4<T>(q, offset, row, column, v);
    }
    __syncwarp();
  }
}
