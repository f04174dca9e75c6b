// What attention's forward and backward share: the problem as the kernels see it, masks, dropout, and the work list.
#pragma once
#include "core/allocator.h"
#include "core/raise.h"
#include "core/view.h"
#include "cpu/microkernel.h"
#include "cpu/parallel.h"
#include "cpu/philox.h"
#include "cpu/rows.h"

namespace engine::ENGINE_ISA {

using namespace simd;

// Rows of all heads: token t of head h at data + t * row + h * head.
template <class T>
struct Heads {
  T* data;
  int64_t row, head;
  T* at(int64_t token, int64_t h) const { return data + token * row + h * head; }
};

template <class T>
ENGINE_INLINE
int64_t padded(int64_t n) { return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>; }

// An additive (T) or boolean (true: take part) mask over (batch, heads, q, k) with any strides.
struct Mask {
  const void* data = nullptr; // null: none
  bool boolean = false;
  int64_t heads = 1, stride[4] = {};
};

// threshold and scale: see keep_rule.
struct Dropout {
  bool on = false;
  uint32_t threshold = 0;
  double scale = 1;
  int64_t seed = 0, call = 0;
};

template <class T>
struct Problem {
  Heads<const T> q, k, v;
  const int32_t *cu_q, *cu_k;
  int64_t sequences, heads, d, e; // e: width of the values
  T scale;
  bool causal;
  Mask mask;
  Dropout dropout;
};

template <class T>
using Bits = V<typename Integer<T>::type>; // all ones or zeros a lane

// Rows whose draws are made together.
constexpr int kDrawRows = kVectorBytes == 64 ? 4 : 2;

// Dropout's decisions for columns [from, from + n) of rows [row, row + kDrawRows), as lanes of ones and zeros in whole
// vectors, rows of `apart` elements; from is a multiple of 128. Which half of which draw decides: see cpu/philox.h.
template <class T>
static void keep_rows(const Dropout& drop, int64_t unit, int64_t row, int64_t from, int64_t n,
                      typename Integer<T>::type* keep, int64_t apart) {
  constexpr int L = kLanes<float>, R = kDrawRows;
  const i32 threshold = broadcast(int32_t(drop.threshold));
  for (int64_t c = 0; c < n; c += 128, keep += 128) {
    for (int lane = 0; lane < 16 && c + lane < n; lane += L) {
      const u32 group = lane_numbers() + uint32_t((from + c) / 128 * 16 + lane);
      u32 words[R][4];
      philox<R>(words, group, uint32_t(row), uint32_t(drop.call), uint32_t(unit), uint32_t(drop.seed),
                uint32_t(uint64_t(drop.seed) >> 32));
      for (int half = 0; half < 8 && c + half * 16 + lane < n; half++)
        for (int r = 0; r < R; r++) {
          const u32 word = words[r][half / 2];
          const i32 kept = (i32)(half % 2 ? word >> 16 : word & 0xffffu) < threshold;
          typename Integer<T>::type* to = keep + r * apart + half * 16 + lane;
          if constexpr (sizeof(T) == 4)
            store(to, kept);
          else
            for (int i = 0; i < L; i++) to[i] = kept[i];
        }
    }
  }
}

// Row `row` of the mask in columns [from, from + n) as numbers to add: where they lie, or made in `room`.
template <class T>
static const T* bias_row(const Mask& mask, int64_t unit, int64_t row, int64_t from, int64_t n, T* room) {
  const int64_t step = mask.stride[3];
  const int64_t at =
      unit / mask.heads * mask.stride[0] + unit % mask.heads * mask.stride[1] + row * mask.stride[2] + from * step;
  if (mask.boolean) {
    const uint8_t* m = static_cast<const uint8_t*>(mask.data) + at;
    for (int64_t j = 0; j < n; j++) room[j] = m[j * step] ? T(0) : -T(__builtin_inf());
    return room;
  }
  const T* m = static_cast<const T*>(mask.data) + at;
  if (step == 1) return m;
  for (int64_t j = 0; j < n; j++) room[j] = m[j * step];
  return room;
}

// ---------------------------------------------------------------- products with and of scores

// Query i of a block sees the keys of a tile before i + shift + 1; this shift lets it see all.
constexpr int64_t kNotCausal = int64_t(1) << 40;

// C (m x n) in even groups of rows and tiles within them, each panel of columns meeting all of them. limit(part, group,
// column) may cut what a part, the rows of a tile, needs of the panel. Depths are cut for the whole group, which is the
// same on every ISA while tiles differ in height: what is left out is 0 * x, and that is NaN for some x.
constexpr int64_t kGroupRows = 12;
struct Span {
  int64_t first, end;
};
struct Part {
  int64_t width, depth, from; // columns of the panel; where k ends and starts
};
template <class T, class Limit>
ENGINE_INLINE
void product(int64_t m, int64_t n, int64_t k, Operand<T> a, Panels<T> b, Result<T> to, const Limit& limit) {
  constexpr int64_t R = Tile<T>::rows, C = Tile<T>::columns, L = kLanes<T>, kTiles = (kGroupRows + R - 1) / R;
  const int64_t groups = (m + kGroupRows - 1) / kGroupRows, even = groups ? (m + groups - 1) / groups : 1;
  const int64_t tile = even <= R ? even : (even + kTiles - 1) / kTiles;
  for (int64_t j = 0; j < n; j += C) {
    const T* panel = b.data + j / C * b.panel;
    for (Span group = {0, 0}; group.first < m; group.first = group.end) {
      group.end = m - group.first < even ? m : group.first + even;
      for (int64_t i = group.first; i < group.end; i += tile) {
        const int64_t height = group.end - i < tile ? group.end - i : tile;
        Part part = {n - j < C ? n - j : C, k, 0};
        limit(Span{i, i + height}, group, j, part);
        if (part.width <= 0) continue;
        const Operand<T> left = {a.data + i * a.row + part.from * a.column, a.row, a.column};
        const Result<T> out = {to.c + i * to.row + j, to.row, to.start ? to.start + i * to.start_row + j : nullptr,
                               to.start_row};
        tile_for<T>(height, part.width)(part.depth > part.from ? part.depth - part.from : 0, left,
                                        panel + part.from * b.row, b.row, out, part.width % L ? part.width % L : L);
      }
    }
  }
}

// Scores (m x n): those that row i does not see may be left out.
template <class T>
static void product_to_scores(int64_t m, int64_t n, int64_t k, Operand<T> a, Panels<T> b, Result<T> to, int64_t shift) {
  product(m, n, k, a, b, to, [&](Span tile, Span, int64_t j, Part& part) ENGINE_LAMBDA {
    const int64_t seen = tile.end + shift - j;
    if (seen < part.width) part.width = seen;
  });
}
// Scores (m x k) times b: those that row i does not see are zeros and need not be multiplied.
template <class T>
static void product_of_scores(int64_t m, int64_t n, int64_t k, Operand<T> a, Panels<T> b, Result<T> to, int64_t shift) {
  product(m, n, k, a, b, to, [&](Span, Span group, int64_t, Part& part) ENGINE_LAMBDA {
    const int64_t seen = group.end + shift;
    if (seen < part.depth) part.depth = seen;
  });
}
// The scores' transpose (keys m x queries k) times b, likewise.
template <class T>
static void product_of_transposed(int64_t m, int64_t n, int64_t k, Operand<T> a, Panels<T> b, Result<T> to,
                                  int64_t shift) {
  product(m, n, k, a, b, to, [&](Span, Span group, int64_t, Part& part) ENGINE_LAMBDA {
    const int64_t first = group.first - shift; // query that sees the group's first key
    part.from = first <= 0 ? 0 : first < part.depth ? first : part.depth;
  });
}

// ---------------------------------------------------------------- the work list

// Sequences order[first..last), heads [head, head_end), part `part` of their rows: about equally much work each.
struct Work {
  int32_t first, last, head, head_end, part;
};
struct Plan {
  Work* work;
  int64_t count = 0;
  const int32_t* order;
};

constexpr double kWorkGoal = 1 << 21; // multiply-adds that make a chunk: some ten microseconds

// Longest first, short sequences grouped; a function of the shapes only. cost(s): multiply-adds of one head of sequence
// s; parts(s): in how many parts its heads may be cut. The list lives in the calling thread's scratch slot 0.
template <class Cost, class Parts>
static Plan plan_work(int64_t sequences, int64_t heads, const Cost& cost, const Parts& parts) {
  int64_t most = 0;
  for (int64_t s = 0; s < sequences; s++) most += parts(s) * heads;
  char* room = static_cast<char*>(
      thread_scratch(0, size_t(most) * sizeof(Work) + size_t(sequences) * (sizeof(double) + sizeof(int32_t)) + 64));
  double* costs = reinterpret_cast<double*>(room);
  Plan plan;
  plan.work = reinterpret_cast<Work*>(costs + sequences);
  int32_t* order = reinterpret_cast<int32_t*>(plan.work + most);
  plan.order = order;
  for (int64_t s = 0; s < sequences; s++) {
    costs[s] = cost(s);
    order[s] = int32_t(s);
  }
  int64_t gap = 1;
  while (gap < sequences / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3) // Shell's sort
    for (int64_t i = gap; i < sequences; i++) {
      const int32_t s = order[i];
      int64_t j = i;
      for (; j >= gap && costs[order[j - gap]] < costs[s]; j -= gap) order[j] = order[j - gap];
      order[j] = s;
    }
  double gathered = 0;
  int64_t from = 0; // first of the short sequences gathered so far
  auto flush = [&](int64_t to) {
    if (to > from) plan.work[plan.count++] = {int32_t(from), int32_t(to), 0, int32_t(heads), 0};
    from = to;
    gathered = 0;
  };
  for (int64_t i = 0; i < sequences; i++) {
    const int32_t s = order[i];
    const int64_t cuts = parts(s);
    if (cuts > 1 || costs[s] * double(heads) >= kWorkGoal) {
      flush(i);
      const int64_t together = costs[s] >= kWorkGoal ? 1 : int64_t(kWorkGoal / costs[s]);
      for (int64_t h = 0; h < heads; h += together)
        for (int64_t part = 0; part < cuts; part++)
          plan.work[plan.count++] = {int32_t(i), int32_t(i + 1), int32_t(h),
                                     int32_t(h + together < heads ? h + together : heads), int32_t(part)};
      from = i + 1;
    } else {
      gathered += costs[s] * double(heads);
      if (gathered >= kWorkGoal) flush(i + 1);
    }
  }
  flush(sequences);
  return plan;
}

// fn(sequence, head, part) for all of them.
template <class Fn>
static void run_plan(const Plan& plan, const Fn& fn) {
  parallel_for(plan.count, [&](int64_t w) {
    const Work& work = plan.work[w];
    for (int64_t i = work.first; i < work.last; i++)
      for (int64_t h = work.head; h < work.head_end; h++) fn(int64_t(plan.order[i]), h, int64_t(work.part));
  });
}

// Cuts a scratch block into aligned pieces.
struct Pieces {
  char* base;
  size_t used = 0;
  template <class U>
  U* take(int64_t n) {
    U* piece = reinterpret_cast<U*>(base + used);
    used += (size_t(n) * sizeof(U) + 63) / 64 * 64;
    return piece;
  }
};

// ---------------------------------------------------------------- small things

constexpr int64_t kRows = 48;  // query rows of a block
constexpr int64_t kKeys = 512; // keys of a forward tile: up to so many, a row's scores are whole and never rescaled
constexpr int64_t kBackwardKeys = 128; // keys of a backward tile
constexpr int64_t kPartRows = 384;     // the forward of longer sequences is cut into parts of so many query rows
constexpr int64_t kPartKeys = 512;     // the backward's parts have at least so many keys
constexpr double kShares = 32;         // units of the backward with a larger share of the work than 2 / 32 are cut
constexpr int64_t kAskBytes = 1 << 15; // rows of one array that are asked for ahead, at most: they share a cache
constexpr int64_t kApart = 16;         // elements between rows of scores, so that they do not share one cache set

// Asks for rows that a unit is about to read or write. A short sequence's rows are too few for the processor to see
// them come, and its products too short to hide what each of their lines waits for.
template <class T>
static void ask_for(Heads<T> x, int64_t token, int64_t n, int64_t head, int64_t d) {
  const int64_t bytes = d * int64_t(sizeof(T));
  if (n * bytes > kAskBytes) return;
  for (int64_t i = 0; i < n; i++)
    for (int64_t at = 0; at < bytes; at += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(x.at(token + i, head)) + at, 1, 3);
}

template <class T>
constexpr T kInf = T(__builtin_inf());

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

// How many keys of a tile row i of a block sees.
ENGINE_INLINE
int64_t keys_seen(int64_t i, int64_t shift, int64_t n) {
  const int64_t seen = i + shift + 1;
  return seen >= n ? n : seen > 0 ? seen : 0;
}

template <class T>
struct Rows {
  T* data;
  int64_t row;
};

// n rows of padded(d) elements to rows of d.
template <class T>
static void scatter(const T* room, int64_t n, int64_t d, T* x, int64_t row) {
  constexpr int L = kLanes<T>;
  const int64_t width = padded<T>(d);
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < d; c += L) {
      const V<T> v = load(room + i * width + c);
      if (d - c < L)
        store_n(x + i * row + c, v, d - c);
      else
        store(x + i * row + c, v);
    }
}

} // namespace engine::ENGINE_ISA
