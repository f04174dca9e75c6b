// The register tile that every dense product is made of, and the packing that feeds it.
//
// A tile is C (m × n) = [start +] A (m × k) · B (k × n) with m <= Tile<T>::rows and n <= Tile<T>::columns, held in
// registers over the whole of k. A is read one broadcast element at a time, so any strides will do (k stride 1 for
// row-major A, row stride 1 for a transposed one); B by vectors, so its columns lie side by side: in a row-major matrix
// or in packed panels of Tile<T>::columns columns. Element (i, j) is the sum over k in order, one fma each, then
// `start` is added: the same bits at any place of the element in a tile.
#pragma once
#include "cpu/simd.h"

namespace engine::ENGINE_ISA {

// Rows and vectors of a tile: as many accumulators as leave registers for a row of B and a broadcast element of A.
template <class T>
struct Tile {
#if defined(ENGINE_ISA_avx512)
  static constexpr int rows = 12, vectors = 2;
#elif defined(ENGINE_ISA_avx2)
  static constexpr int rows = 6, vectors = 2;
#elif defined(ENGINE_ISA_neon)
  static constexpr int rows = 6, vectors = 4; // 24 accumulators, 4 vectors of B and 4 registers for elements of A
#else
  static constexpr int rows = 4, vectors = 2;
#endif
  static constexpr int columns = vectors * simd::kLanes<T>;
};

// Element (i, j) of a matrix is at data[i * row + j * column].
template <class T>
struct Operand {
  const T* data;
  int64_t row, column;
};

// B (k × n): row p of panel number q, Tile<T>::columns wide, is at data[q * panel + p * row].
template <class T>
struct Panels {
  const T* data;
  int64_t row, panel;
};
// A row-major matrix as it is.
template <class T>
ENGINE_INLINE
Panels<T> unpacked(const T* data, int64_t row) { return {data, row, Tile<T>::columns}; }
// What pack_rows and pack_columns wrote for k rows.
template <class T>
ENGINE_INLINE
Panels<T> packed(const T* data, int64_t k) { return {data, Tile<T>::columns, k * Tile<T>::columns}; }
// Elements that k × n takes packed.
template <class T>
ENGINE_INLINE
int64_t packed_size(int64_t k, int64_t n) {
  return (n + Tile<T>::columns - 1) / Tile<T>::columns * Tile<T>::columns * k;
}

// Memory that is wanted soon, asked for a few cache lines at a time while tiles are computed: `rows` runs of `bytes`
// bytes, `stride` bytes apart, into the second-level cache.
struct Ahead {
  static constexpr int64_t kLine = 64, kSteps = 4; // a step every kSteps of k
  const char* at = nullptr;
  int64_t rows = 0, bytes = 0, stride = 0;
  int64_t pace = 0; // lines a step
  int64_t within = 0;
  ENGINE_INLINE
  void step() {
    for (int64_t i = pace; i > 0 && rows > 0; i--) {
      __builtin_prefetch(at + within, 0, 2);
      within += kLine;
      if (within >= bytes) {
        within = 0;
        at += stride;
        rows--;
      }
    }
  }
};

// C: row-major. start: what the product is added to, with its own row stride: c itself to accumulate, a bias with
// row stride 0, null for nothing.
template <class T>
struct Result {
  T* c;
  int64_t row;
  const T* start;
  int64_t start_row;
  Ahead* ahead = nullptr; // what comes later; then C itself is asked for before it is written, and what lies
  int64_t beside = 0;     // that many elements behind it
};
template <class T>
ENGINE_INLINE
Result<T> overwrite(T* c, int64_t row) { return {c, row, nullptr, 0}; }
template <class T>
ENGINE_INLINE
Result<T> accumulate(T* c, int64_t row) { return {c, row, c, row}; }

// Hides from the compiler how a pointer moves, so that it keeps the few address registers chosen here.
#define ENGINE_OPAQUE(x) __asm__("" : "+r"(x))

// *p in all lanes, to multiply by.
template <class T>
ENGINE_INLINE
simd::V<T> factor(const T* p) {
  T x = *p;
#if defined(ENGINE_ISA_neon)
  __asm__("" : "+w"(x)); // fma takes an element of a register; a load that spreads it would need the same units as fma
#endif
  return simd::broadcast(x);
}

// One tile of M rows and N vectors; the last vector has `tail` columns where Masked.
template <class T, int M, int N, bool Masked>
static void tile(int64_t k, const Operand<T>& left, const T* b, int64_t b_row, const Result<T>& to, int64_t tail) {
  using namespace simd;
  constexpr int L = kLanes<T>, kGroups = (M + 2) / 3;
  V<T> acc[M][N];
#pragma GCC unroll 16
  for (int i = 0; i < M; i++)
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) acc[i][j] = zero<T>();
  // Rows are addressed as one of three from a base: base, base + step, base + 2 * step.
  const T* base[kGroups];
  const int64_t step = left.row, next = left.column;
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; g++) base[g] = left.data + 3 * g * step;
  auto one = [&]() __attribute__((always_inline)) {
    V<T> row[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) row[j] = Masked && j == N - 1 ? load_n(b + j * L, tail) : load(b + j * L);
#pragma GCC unroll 16
    for (int i = 0; i < M; i++) {
      const V<T> x = factor(base[i / 3] + i % 3 * step);
#pragma GCC unroll 4
      for (int j = 0; j < N; j++) acc[i][j] = fma(x, row[j], acc[i][j]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; g++) {
      base[g] += next;
      ENGINE_OPAQUE(base[g]);
    }
    b += b_row;
    ENGINE_OPAQUE(b);
  };
  int64_t p = k;
  if (to.ahead) {
    // All of C's lines at once, when they are written, would keep those of B waiting.
    constexpr int64_t kBytes = N * L * sizeof(T);
    const char* line = reinterpret_cast<const char*>(to.c);
    const int64_t stride = to.row * int64_t(sizeof(T)), beside = to.beside * int64_t(sizeof(T));
    for (int64_t rows = M; p >= Ahead::kSteps; p -= Ahead::kSteps) {
      to.ahead->step();
#pragma GCC unroll 4
      for (int64_t at = 0; at < kBytes; at += Ahead::kLine) {
        __builtin_prefetch(line + at, 1, 3);
        __builtin_prefetch(line + beside + at, 1, 3);
      }
      line += --rows > 0 ? stride : 0;
#pragma GCC unroll 4
      for (int s = 0; s < Ahead::kSteps; s++) one();
    }
  }
  for (; p >= 2; p -= 2) {
    one();
    one();
  }
  if (p) one();
#pragma GCC unroll 16
  for (int i = 0; i < M; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) {
      T* c = to.c + i * to.row + j * L;
      const T* s = to.start + i * to.start_row + j * L;
      if (Masked && j == N - 1) {
        if (to.start) acc[i][j] += load_n(s, tail);
        store_n(c, acc[i][j], tail);
      } else {
        if (to.start) acc[i][j] += load(s);
        store(c, acc[i][j]);
      }
    }
  }
}

template <class T>
using TileFn = void (*)(int64_t k, const Operand<T>& left, const T* b, int64_t b_row, const Result<T>& to,
                        int64_t tail);

// at[m - 1][v]: v = 0 for a tile of all columns, else one of v vectors of which the last may be part.
template <class T>
struct TileTable {
  static constexpr int kVectors = Tile<T>::vectors;
  TileFn<T> at[Tile<T>::rows][kVectors + 1];
  constexpr TileTable() : at{} { fill_rows<Tile<T>::rows>(); }
  template <int M>
  constexpr void fill_rows() {
    at[M - 1][0] = tile<T, M, kVectors, false>;
    fill_vectors<M, kVectors>();
    if constexpr (M > 1) fill_rows<M - 1>();
  }
  template <int M, int N>
  constexpr void fill_vectors() {
    at[M - 1][N] = tile<T, M, N, true>;
    if constexpr (N > 1) fill_vectors<M, N - 1>();
  }
};
template <class T>
static constexpr TileTable<T> kTiles;
template <class T>
ENGINE_INLINE
TileFn<T> tile_for(int64_t m, int64_t n) {
  return kTiles<T>.at[m - 1][n == Tile<T>::columns ? 0 : (n + simd::kLanes<T> - 1) / simd::kLanes<T>];
}

// C (m × n) = [start +] A (m × k) · B (k × n), any m and n, in tiles: each panel of B meets all rows of A before the
// next. k should be such that a panel stays in the first-level cache (256 rows do).
template <class T>
static void multiply(int64_t m, int64_t n, int64_t k, Operand<T> a, Panels<T> b, Result<T> to) {
  constexpr int R = Tile<T>::rows, C = Tile<T>::columns, L = simd::kLanes<T>;
  for (int64_t j = 0; j < n; j += C) {
    const int64_t width = n - j < C ? n - j : C, tail = width % L ? width % L : L;
    const T* panel = b.data + j / C * b.panel;
    const TileFn<T> full = tile_for<T>(R, width);
    for (int64_t i = 0; i < m; i += R) {
      const Operand<T> left = {a.data + i * a.row, a.row, a.column};
      const Result<T> out = {to.c + i * to.row + j, to.row, to.start ? to.start + i * to.start_row + j : nullptr,
                             to.start_row, to.ahead};
      if (m - i >= R)
        full(k, left, panel, b.row, out, tail);
      else
        tile_for<T>(m - i, width)(k, left, panel, b.row, out, tail);
    }
  }
}

// Rows that packing takes at a time: long strips of few rows, as memory likes to be read.
constexpr int64_t kStrip = 16;

// Packs B (k × n), row-major with row stride `ld`, into panels; columns behind the last are zeros.
template <class T>
static void pack_rows(int64_t k, int64_t n, const T* from, int64_t ld, T* to) {
  using namespace simd;
  constexpr int N = Tile<T>::vectors, C = Tile<T>::columns, L = kLanes<T>;
  for (int64_t strip = 0; strip < k; strip += kStrip) {
    const int64_t depth = k - strip < kStrip ? k - strip : kStrip;
    for (int64_t j = 0; j < n; j += C) {
      const T* x = from + strip * ld + j;
      T* y = to + j * k + strip * C;
      if (n - j >= C) {
        for (int64_t p = 0; p < depth; p++, x += ld, y += C)
          for (int v = 0; v < N; v++) store(y + v * L, load(x + v * L));
        continue;
      }
      for (int64_t p = 0; p < depth; p++, x += ld, y += C)
        for (int v = 0; v < N; v++) {
          const int64_t left = n - j - v * L;
          store(y + v * L, left <= 0 ? zero<T>() : load_n(x + v * L, left < L ? left : L));
        }
    }
  }
}

// Packs B (k × n) given by its columns: column j is a row of `from`, which is (n × k) with row stride `ld`. Zeros fill
// the last vector; vectors of the panel behind it, which no tile reads, are left alone.
template <class T>
static void pack_columns(int64_t k, int64_t n, const T* from, int64_t ld, T* to) {
  using namespace simd;
  constexpr int C = Tile<T>::columns, L = kLanes<T>;
  for (int64_t j = 0; j < n; j += C, to += C * k) {
    for (int64_t p = 0; p < k; p += L) {
      const int64_t depth = k - p < L ? k - p : L;
      for (int v = 0; v < C && v < n - j; v += L) {
        const int64_t wide = n - j - v < L ? n - j - v : L;
        const T* x = from + (j + v) * ld + p;
        V<T> block[L];
#pragma GCC unroll 16
        for (int r = 0; r < L; r++)
          block[r] = r >= wide ? zero<T>() : depth == L ? load(x + r * ld) : load_n(x + r * ld, depth);
        transpose(block);
        T* out = to + p * C + v;
        if (depth == L) {
#pragma GCC unroll 16
          for (int r = 0; r < L; r++) store(out + r * C, block[r]);
        } else {
#pragma GCC unroll 16
          for (int r = 0; r < L; r++)
            if (r < depth) store(out + r * C, block[r]);
        }
      }
    }
  }
}

} // namespace engine::ENGINE_ISA
