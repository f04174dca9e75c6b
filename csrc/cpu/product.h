// C (m × n) = [C +] A (m × k) · B (k × n) [+ bias], cut into tasks for the pool.
//
// One task computes one block of C over the whole of k and brings its own operands into shape: no task waits for
// another, none shares a sum. k is cut into blocks by its length alone and every element is summed in order within a
// block, so its bits depend neither on the threads nor on where the cuts through C fall.
#pragma once
#include "core/allocator.h"
#include "core/view.h"
#include "cpu/microkernel.h"
#include "cpu/parallel.h"
#include "cpu/vmath.h"

namespace engine::ENGINE_ISA {

#ifndef ENGINE_TUNABLE // a tuning program may turn the numbers below into variables
#define ENGINE_TUNABLE(name, value) constexpr int64_t name = value
#endif
// Steps of k that one pass takes, in bytes of a row; where k is cut decides the bits, so these are the same on every
// ISA. Row-major A: C's trips through memory cost more than a panel of B that comes from the second-level cache.
// Transposed A: a pass should leave room in that cache for the next one's operands.
ENGINE_TUNABLE(kDepthBytes, 2048);
ENGINE_TUNABLE(kTransposedDepthBytes, 1024);
// The block of C that a task computes, at most: B's share of it stays in the second-level cache, or nearly.
ENGINE_TUNABLE(kBlockRows, 512);
ENGINE_TUNABLE(kBlockColumns, 256);
// Rows of A, in tiles, that meet all panels of B before the next rows do.
ENGINE_TUNABLE(kGroupTiles, 8);
// Tasks a thread that a product is cut into, and the multiply-adds that are worth waking a thread for.
ENGINE_TUNABLE(kTasksPerThread, 2);
ENGINE_TUNABLE(kTaskWork, 1 << 18);
// Rows that a task should have, to pay for packing its columns of B.
ENGINE_TUNABLE(kPackRows, 128);
ENGINE_TUNABLE(kAhead, 1);

// Evenly cut: part i of n in `parts` starts at cut(n, parts, i). parts_of: how many parts of at most `size`.
ENGINE_INLINE
int64_t cut(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }
ENGINE_INLINE
int64_t parts_of(int64_t n, int64_t size) { return n <= size ? 1 : (n + size - 1) / size; }

enum class Gelu { none, erf, tanh };

// Products of one shape: how far each operand moves along each dimension of the batch.
struct Batch {
  int ndim = 0;
  int64_t count = 1;
  int64_t shape[kMaxDims], a[kMaxDims], b[kMaxDims], c[kMaxDims];
  void push(int64_t size, int64_t step_a, int64_t step_b, int64_t step_c) {
    count *= size;
    if (size == 1) return;
    shape[ndim] = size;
    a[ndim] = step_a;
    b[ndim] = step_b;
    c[ndim++] = step_c;
  }
  void offsets(int64_t index, int64_t* at_a, int64_t* at_b, int64_t* at_c) const {
    *at_a = *at_b = *at_c = 0;
    for (int d = ndim - 1; d >= 0; d--) {
      const int64_t i = index % shape[d];
      index /= shape[d];
      *at_a += i * a[d];
      *at_b += i * b[d];
      *at_c += i * c[d];
    }
  }
};

template <class T>
struct Product {
  int64_t m, n, k;
  Operand<T> a, b; // A(i, p) and B(p, j), any strides
  T* c;            // row-major: C(i, j) is at c[i * c_row + j]; column-major where `turned`
  int64_t c_row;
  bool turned = false;           // C(i, j) is at c[j * c_row + i], bias is (m,): see turn()
  bool accumulate = false;       // add to C
  const T* bias = nullptr;       // (n,)
  T* row_sums = nullptr;         // (m,), written too: the sums of A's rows. A must have row stride 1.
  T* activated = nullptr;        // laid out as C, written too: gelu(C)
  const T* dactivated = nullptr; // laid out as A: A = dactivated * gelu'(z) is computed here first, into a.data
  const T* z = nullptr;          // laid out as A
  Gelu gelu = Gelu::none;
  Batch batch;  // products side by side
  Batch summed; // products added into the same C
};

// ---------------------------------------------------------------- what happens to operands and results on the way

// B (k × n) with any strides into panels, one element at a time.
template <class T>
static void pack_any(int64_t k, int64_t n, const Operand<T>& b, T* to) {
  constexpr int C = Tile<T>::columns;
  for (int64_t j = 0; j < n; j += C, to += k * C)
    for (int64_t p = 0; p < k; p++)
      for (int64_t x = 0; x < C; x++) to[p * C + x] = j + x < n ? b.data[p * b.row + (j + x) * b.column] : T(0);
}

// sums[i] (+)= the sum over p of a[p * ld + i], i < m: first in runs of kStrip, so that rounding errors grow slowly.
template <class T>
static void add_columns(int64_t m, int64_t k, const T* a, int64_t ld, T* sums, bool first) {
  using namespace simd;
  constexpr int L = kLanes<T>, N = 4;
  for (int64_t strip = 0; strip < k || first; strip += kStrip, first = false) {
    const int64_t depth = k - strip < kStrip ? k - strip : kStrip;
    const T* x = a + strip * ld;
    int64_t i = 0;
    for (; i + N * L <= m; i += N * L) {
      V<T> total[N] = {};
      for (int64_t p = 0; p < depth; p++)
        for (int v = 0; v < N; v++) total[v] += load(x + p * ld + i + v * L);
      for (int v = 0; v < N; v++) {
        T* to = sums + i + v * L;
        store(to, first ? total[v] : load(to) + total[v]);
      }
    }
    for (; i < m; i += L) {
      const int64_t lanes = m - i < L ? m - i : L;
      V<T> total = zero<T>();
      for (int64_t p = 0; p < depth; p++) total += load_n(x + p * ld + i, lanes);
      store_n(sums + i, first ? total : load_n(sums + i, lanes) + total, lanes);
    }
  }
}

// y[i] = f(x[i]...) over n elements.
template <class T, class Fn>
ENGINE_INLINE
void each(int64_t n, T* y, const T* x, const Fn& fn) {
  using namespace simd;
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= n; i += L) store(y + i, fn(load(x + i), i, L));
  if (i < n) store_n(y + i, fn(load_n(x + i, n - i), i, n - i), n - i);
}
template <class T>
static void gelu_row(Gelu kind, int64_t n, const T* z, T* y) {
  using namespace simd;
  if (kind == Gelu::erf)
    each(n, y, z, [](V<T> x, int64_t, int64_t) __attribute__((always_inline)) { return gelu(x); });
  else
    each(n, y, z, [](V<T> x, int64_t, int64_t) __attribute__((always_inline)) { return gelu_tanh(x); });
}
template <class T>
static void gelu_backward_row(Gelu kind, int64_t n, const T* dy, const T* z, T* dz) {
  using namespace simd;
  if (kind == Gelu::erf)
    each(n, dz, dy, [&](V<T> g, int64_t i, int64_t lanes) __attribute__((always_inline)) {
      return g * gelu_grad(load_n(z + i, lanes));
    });
  else
    each(n, dz, dy, [&](V<T> g, int64_t i, int64_t lanes) __attribute__((always_inline)) {
      return g * gelu_tanh_grad(load_n(z + i, lanes));
    });
}

// A tile (height × width, rows `ld` apart) is added to `start` and stored as columns: element (i, j) at c[j * row + i].
// start: of column j at start + j * start_row; null for nothing. activated: laid out as c, gets gelu of what c gets.
template <class T>
static void store_turned(const T* tile, int64_t ld, int64_t height, int64_t width, const Result<T>& to, T* activated,
                         Gelu kind) {
  using namespace simd;
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < height; i += L) {
    const int64_t rows = height - i < L ? height - i : L;
    for (int64_t j = 0; j < width; j += L) {
      V<T> block[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; r++) block[r] = r < rows ? load(tile + (i + r) * ld + j) : zero<T>();
      transpose(block);
#pragma GCC unroll 16
      for (int c = 0; c < L; c++) {
        if (j + c >= width) break;
        const int64_t at = (j + c) * to.row + i;
        V<T> v = block[c];
        if (to.start) v += load_n(to.start + (j + c) * to.start_row + i, rows);
        store_n(to.c + at, v, rows);
        if (activated) store_n(activated + at, kind == Gelu::erf ? gelu(v) : gelu_tanh(v), rows);
      }
    }
  }
}

// What `steps` steps should ask for of an operand that lies row by row or column by column.
template <class T>
static Ahead ahead_of(const Operand<T>& x, int64_t m, int64_t k, int64_t steps) {
  Ahead ahead;
  const bool by_rows = x.column == 1;
  if ((!by_rows && x.row != 1) || m <= 0 || k <= 0) return ahead;
  const uintptr_t at = reinterpret_cast<uintptr_t>(x.data), line = at / Ahead::kLine * Ahead::kLine;
  ahead.at = reinterpret_cast<const char*>(line);
  ahead.rows = by_rows ? m : k;
  ahead.bytes = (by_rows ? k : m) * int64_t(sizeof(T)) + int64_t(at - line);
  ahead.stride = (by_rows ? x.row : x.column) * int64_t(sizeof(T));
  ahead.pace = (ahead.rows * ((ahead.bytes + Ahead::kLine - 1) / Ahead::kLine) + steps - 1) / steps;
  return ahead;
}

// ---------------------------------------------------------------- one task

// Rows i0 to i1 and columns j0 to j1 of one product of the batch.
template <class T>
struct Block {
  const Product<T>& q;
  int64_t at_a, at_b, at_c, i0, i1, j0, j1;

  int64_t m() const { return i1 - i0; }
  int64_t n() const { return j1 - j0; }

  // From (i, p) of A's rows and (p, j) of B's columns that belong to the block.
  Operand<T> a_from(int64_t offset, int64_t i, int64_t p) const {
    return {q.a.data + at_a + offset + (i0 + i) * q.a.row + p * q.a.column, q.a.row, q.a.column};
  }
  Operand<T> b_from(int64_t offset, int64_t p) const {
    return {q.b.data + at_b + offset + p * q.b.row + j0 * q.b.column, q.b.row, q.b.column};
  }

  void compute() const {
    constexpr int R = Tile<T>::rows;
    const bool transposed = q.a.column != 1;
    const int64_t most = (transposed ? kTransposedDepthBytes : kDepthBytes) / int64_t(sizeof(T));
    const int64_t depths = parts_of(q.k, most), groups = parts_of(m(), kGroupTiles * R);
    // Rows of B are read as they are where they lie close together in whole cache lines, or are used few times; the
    // rest goes into panels.
    const bool near = q.b.row <= 384 && q.b.row * int64_t(sizeof(T)) % Ahead::kLine == 0;
    const bool pack = q.b.column != 1 || (!near && m() >= 16 * R);
    // Worth it where lines of A fall into the same places of the cache and many panels of B meet them.
    const bool gather = q.a.row == 1 && q.a.column * int64_t(sizeof(T)) % 1024 == 0 && n() >= 8 * Tile<T>::columns;
    T* panels = nullptr;
    if (pack) {
      const int64_t deepest = (q.k + depths - 1) / depths;
      panels = static_cast<T*>(thread_scratch(0, size_t(packed_size<T>(deepest, n())) * sizeof(T)));
    }
    for (int64_t s = 0; s < q.summed.count; s++) {
      int64_t to_a, to_b, unused;
      q.summed.offsets(s, &to_a, &to_b, &unused);
      for (int64_t d = 0; d < depths; d++) {
        const int64_t p0 = cut(q.k, depths, d), depth = cut(q.k, depths, d + 1) - p0;
        const int64_t next = d + 1 < depths ? cut(q.k, depths, d + 2) - p0 - depth : 0;
        const bool first = s == 0 && d == 0, last = s == q.summed.count - 1 && d == depths - 1;
        const Operand<T> b = b_from(to_b, p0);
        Panels<T> right = unpacked(b.data, b.row);
        if (pack) {
          if (b.column == 1)
            pack_rows(depth, n(), b.data, b.row, panels);
          else if (b.row == 1)
            pack_columns(depth, n(), b.data, b.column, panels);
          else
            pack_any(depth, n(), b, panels);
          right = packed(panels, depth);
        }
        if (q.row_sums && j0 == 0)
          add_columns(m(), depth, a_from(to_a, 0, p0).data, q.a.column, q.row_sums + i0, first);
        for (int64_t g = 0; g < groups; g++) {
          const int64_t top = cut(m(), groups, g), bottom = cut(m(), groups, g + 1), rows = bottom - top;
          // Meanwhile the next rows of A come closer, and a share of B's rows for the next pass over k.
          const int64_t steps = parts_of(rows, R) * parts_of(n(), Tile<T>::columns) * (depth / Ahead::kSteps) + 1;
          Ahead next_a, next_b;
          if (kAhead && g + 1 < groups)
            next_a = ahead_of(a_from(to_a, bottom, p0), cut(m(), groups, g + 2) - bottom, depth, steps);
          else if (kAhead && next)
            next_a = ahead_of(a_from(to_a, 0, p0 + depth), cut(m(), groups, 1), next, steps);
          if (kAhead && next) {
            const int64_t from = cut(next, groups, g);
            next_b = ahead_of(b_from(to_b, p0 + depth + from), cut(next, groups, g + 1) - from, n(), steps);
          }
          Operand<T> a = a_from(to_a, top, p0);
          if (gather) a = gathered(a, rows, depth);
          if (q.dactivated && j0 == 0)
            for (int64_t i = 0; i < rows; i++) {
              T* dz = const_cast<T*>(a.data) + i * a.row;
              const int64_t at = dz - q.a.data;
              gelu_backward_row(q.gelu, depth, q.dactivated + at, q.z + at, dz);
            }
          multiply_group(a, top, rows, depth, right, first, last, &next_a, &next_b);
        }
      }
    }
  }

  // Rows of a transposed A side by side. As they lie, each step of k is a line of its own, and where lines are a
  // multiple of a page apart they fall into the same few places of the first-level cache.
  static Operand<T> gathered(const Operand<T>& a, int64_t rows, int64_t depth) {
    using namespace simd;
    constexpr int L = kLanes<T>;
    const int64_t stride = (rows + L - 1) / L * L;
    T* to = static_cast<T*>(thread_scratch(1, size_t(stride * depth) * sizeof(T)));
    for (int64_t p = 0; p < depth; p++)
      for (int64_t i = 0; i < rows; i += L)
        store(to + p * stride + i, load_n(a.data + p * a.column + i, rows - i < L ? rows - i : L));
    return {to, 1, stride};
  }

  // Rows `top` and on, `rows` of them, with every panel of B.
  void multiply_group(const Operand<T>& a, int64_t top, int64_t rows, int64_t depth, const Panels<T>& right, bool first,
                      bool last, Ahead* next_a, Ahead* next_b) const {
    constexpr int R = Tile<T>::rows, C = Tile<T>::columns, L = simd::kLanes<T>;
    const int64_t tiles = parts_of(rows, R);
    int64_t starts[kGroupTiles + 1];
    for (int64_t t = 0; t <= tiles; t++) starts[t] = cut(rows, tiles, t);
    for (int64_t j = 0; j < n(); j += C) {
      const int64_t width = n() - j < C ? n() - j : C, tail = width % L ? width % L : L;
      const T* panel = right.data + j / C * right.panel;
      for (int64_t t = 0; t < tiles; t++) {
        const int64_t i = starts[t], height = starts[t + 1] - i, y = i0 + top + i, x = j0 + j;
        const int64_t at = at_c + (q.turned ? x * q.c_row + y : y * q.c_row + x);
        Result<T> to = {q.c + at, q.c_row, q.bias ? q.bias + (q.turned ? y : x) : nullptr, 0};
        if (!first || q.accumulate) to = accumulate(q.c + at, q.c_row);
        alignas(64) T turning[R * C];
        Result<T> direct = q.turned ? overwrite(turning, C) : to;
        direct.ahead = next_b->rows > 0 && (t % 2 || next_a->rows == 0) ? next_b : next_a;
        direct.beside = last && q.activated && !q.turned ? q.activated - q.c : 0;
        tile_for<T>(height, width)(depth, {a.data + i * a.row, a.row, a.column}, panel, right.row, direct, tail);
        if (q.turned)
          store_turned(turning, C, height, width, to, last && q.activated ? q.activated + at : nullptr, q.gelu);
        else if (last && q.activated)
          for (int64_t r = 0; r < height; r++)
            gelu_row(q.gelu, width, q.c + at + r * q.c_row, q.activated + at + r * q.c_row);
      }
    }
  }
};

// ---------------------------------------------------------------- the whole

// Few rows times a transposed matrix, as a layer of one short text is: packing B would cost as much as the product. The
// product of the transposes, Cᵀ = Bᵀ · Aᵀ, packs the few rows instead and reads B as it lies. Every element is the same
// sum in the same order.
template <class T>
static bool turns(const Product<T>& q) {
  return q.b.row == 1 && q.b.column != 1 && q.a.column == 1 && q.m <= 128 && 2 * q.m <= q.n && q.batch.count == 1 &&
         q.summed.count == 1 && !q.row_sums && !q.dactivated;
}
template <class T>
static Product<T> turn(Product<T> q) {
  const Operand<T> a = q.a;
  const int64_t m = q.m;
  q.a = {q.b.data, q.b.column, q.b.row};
  q.b = {a.data, a.column, a.row};
  q.m = q.n;
  q.n = m;
  q.turned = true;
  return q;
}

// Blocks of C, down and across: small enough for the caches, enough of them to share out, and no thread left with one
// more than the others if that can be helped. Where the cuts fall changes no bit.
struct Grid {
  int64_t down, across;
};
// For so many threads: all of them, or a product's share.
template <class T>
static Grid grid_of(const Product<T>& q, int64_t work, int64_t threads) {
  constexpr int R = Tile<T>::rows, C = Tile<T>::columns;
  const int64_t panels = parts_of(q.n, C);
  const int64_t wanted = threads > 1 ? kTasksPerThread * threads : 1;
  const int64_t most = work / kTaskWork < wanted ? work / kTaskWork : wanted;
  Grid grid = {parts_of(q.m, kBlockRows), parts_of(q.n, kBlockColumns)};
  const bool whole_rows = q.dactivated; // then a task computes all columns: see run_product
  auto count = [&](const Grid& g) { return q.batch.count * g.down * (whole_rows ? 1 : g.across); };
  while (count(grid) < most) {
    const int64_t rows = q.m / grid.down, columns = q.n / grid.across;
    const bool even = panels % (grid.across + 1) == 0 || columns > 8 * C;
    if (count(grid) >= threads && q.m / (grid.down + 1) < kPackRows) break; // every task packs its B
    if (!whole_rows && columns > 2 * C && columns >= rows && (even || rows <= 2 * R))
      grid.across++;
    else if (rows > 2 * R)
      grid.down++;
    else
      break;
  }
  // Some cuts more or fewer, where the threads then wait for each other less.
  auto idle = [&](const Grid& g) { return double((threads - count(g) % threads) % threads) / double(count(g)); };
  if (most >= threads && count(grid) < 4 * wanted) {
    const Grid first = grid;
    for (int64_t across = first.across; across <= first.across + 1; across++)
      for (int64_t down = parts_of(q.m, kBlockRows); down <= 2 * first.down; down++) {
        const Grid other = {down, across};
        const bool wide = across == first.across || (!whole_rows && q.n / across >= 2 * C);
        const bool high = down <= first.down || q.m / down >= kPackRows;
        if (wide && high && count(other) >= threads && idle(other) < idle(grid)) grid = other;
      }
  }
  return {grid.down, grid.across < panels ? grid.across : panels};
}

// A product and its cuts.
template <class T>
struct Cut {
  Product<T> q;
  Grid grid;

  static int64_t work(const Product<T>& q) { // of one of the batch
    return q.m * (q.n > 0 ? q.n : 1) * (q.k > 0 ? q.k : 1) * q.summed.count;
  }
  static Cut of(const Product<T>& given, int64_t threads) {
    Cut whole = {turns(given) ? turn(given) : given, {}};
    whole.grid = grid_of(whole.q, work(whole.q), threads);
    return whole;
  }

  int64_t tasks() const { return q.m == 0 ? 0 : q.batch.count * grid.down * (q.dactivated ? 1 : grid.across); }
  void compute(int64_t task) const {
    constexpr int C = Tile<T>::columns;
    const int64_t down = grid.down, across = grid.across, panels = parts_of(q.n, C);
    if (q.dactivated) task *= across;
    const int64_t y = task / across % down;
    const int64_t i0 = cut(q.m, down, y), i1 = cut(q.m, down, y + 1);
    int64_t a, b, c;
    q.batch.offsets(task / (across * down), &a, &b, &c);
    // With A still to be computed, one task takes all columns.
    const int64_t x0 = q.dactivated ? 0 : task % across, x1 = q.dactivated ? across : x0 + 1;
    for (int64_t x = x0; x < x1; x++) {
      const int64_t j0 = cut(panels, across, x) * C, j1 = cut(panels, across, x + 1) * C;
      Block<T>{q, a, b, c, i0, i1, j0, j1 < q.n ? j1 : q.n}.compute();
    }
  }
};
inline int64_t task_grain(int64_t share) { return share >= kTaskWork ? 1 : kTaskWork / (share > 0 ? share : 1); }

template <class T>
static void run_product(const Product<T>& given) {
  if (given.m == 0 || given.batch.count == 0) return;
  const Cut<T> whole = Cut<T>::of(given, num_threads());
  const int64_t share = Cut<T>::work(given) / (whole.grid.across * whole.grid.down); // of one task
  parallel_ranges(whole.tasks(), task_grain(share), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) whole.compute(task);
  });
}

// The products of `count` groups, each of another size, at once: threads take tasks of all of them in one row. each(g):
// group g's. A product gets as many tasks as its share of the work makes up for.
template <class T, class Fn>
static void run_products(int64_t count, const Fn& each) {
  Cut<T>* cuts = static_cast<Cut<T>*>(thread_scratch(2, size_t(count) * sizeof(Cut<T>)));
  int64_t* ends = static_cast<int64_t*>(thread_scratch(3, size_t(count) * sizeof(int64_t)));
  const int64_t threads = num_threads();
  int64_t work = 1, tasks = 0;
  for (int64_t g = 0; g < count; g++) work += Cut<T>::work(each(g));
  for (int64_t g = 0; g < count; g++) {
    const Product<T> q = each(g);
    const double share = double(Cut<T>::work(q)) / double(work);
    cuts[g] = Cut<T>::of(q, 1 + int64_t(share * double(threads > 1 ? kTasksPerThread * threads : 0)));
    ends[g] = tasks += cuts[g].tasks();
  }
  parallel_ranges(tasks, task_grain(work / (tasks > 0 ? tasks : 1)), [&](int64_t begin, int64_t end) {
    int64_t g = 0;
    for (int64_t task = begin; task < end; task++) {
      while (ends[g] <= task) g++;
      cuts[g].compute(task - (g ? ends[g - 1] : 0));
    }
  });
}

} // namespace engine::ENGINE_ISA
