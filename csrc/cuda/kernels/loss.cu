// Cross-entropy with its gradient, and the other losses.
//
// Cross-entropy: a row belongs to a team (device/rows.cuh) and is read once where it fits the team's registers; with
// softmax p and the target distribution t of a row (weights, smoothing and all, of sum S), loss = -sum(t * ln p) and
// dloss/dx = p * S - t. What a mean divides by is known before, from a pass over the labels, which also checks them.
// Sums over rows or elements: partial sums of fixed chunks, then one block adds those up, in double.
#include "cuda/device/loss_arguments.h"
#include "cuda/device/softmax.cuh"

// totals[0]: the weights of the rows that count, added up; totals[1]: all weights, or c. One block.
template <class T>
__device__ __forceinline__ void label_totals(const int64_t* labels, const T* weight, int64_t n, int64_t c,
                                             int64_t ignore, double* totals, Fault* f, int site) {
  double counted = 0, all = 0;
  for (int64_t r = threadIdx.x; r < n; r += blockDim.x) {
    const int64_t label = labels[r];
    if (label != ignore && in_range(f, site, r, label, c)) counted += weight ? double(to_float(weight[label])) : 1.0;
  }
  if (weight)
    for (int64_t i = threadIdx.x; i < c; i += blockDim.x) all += double(to_float(weight[i]));
  counted = block_sum(counted);
  all = block_sum(all);
  if (threadIdx.x) return;
  totals[0] = counted;
  totals[1] = weight ? all : double(c);
}

template <class T, bool Held, bool Soft>
__device__ __forceinline__ void cross_entropy(const CrossEntropy<T>& a) {
  constexpr int N = Pack<T>::N;
  Team team(a.width);
  const bool there = team.row < a.n;
  const int64_t row = there ? team.row : a.n - 1, start = row * a.c;
  const int shift = a.vector ? phase(a.input + start) : 0;
  const int64_t label = Soft ? 0 : a.labels[row];
  const bool counts = Soft || (label != a.ignore && label >= 0 && label < a.c);
  const bool skipped = a.width > 32 && !counts; // the whole block's row: nothing is read
  const auto load = [&](int first, float (&v)[N]) { load_pack(a.input + start, first, a.c, a.vector, v, -kInfinity); };
  const auto weight_of = [&](int i) { return a.weight && unsigned(i) < unsigned(a.c) ? to_float(a.weight[i]) : 1.f; };
  // The target distribution of a pack; 0 where nothing is.
  const auto goal = [&](int first, float (&t)[N]) {
    load_pack(a.target + start, first, a.c, a.vector, t);
#pragma unroll
    for (int i = 0; i < N; i++) t[i] = fmaf(t[i], a.kept, a.each) * weight_of(first + i);
  };
  Row<T, Held, 40 / N> elements(team, shift, skipped ? 0 : a.c);
  float high, total, mass = 0, sum = 0;
  exponentials(team, elements, load, false, high, total);
  if (Soft || a.each > 0) {
    elements.pass(load, [&](int first, float (&v)[N]) {
      float t[N];
      if (Soft) goal(first, t);
#pragma unroll
      for (int i = 0; i < N; i++) {
        if (!elements.inside(first + i)) continue;
        const float goal = Soft ? t[i] : weight_of(first + i);
        mass += goal;
        sum += goal * (v[i] - high);
      }
    });
    team.sums(mass, sum);
  }
  if (!there) return;
  const float rest = logf(total);
  const float kept = Soft ? 0.f : counts ? a.kept * (a.weight ? to_float(a.weight[label]) : 1.f) : 0.f;
  float loss;
  if (Soft) {
    loss = mass * rest - sum;
  } else {
    const double classes = a.totals[1];
    loss = counts ? -kept * ((to_float(a.input[start + label]) - high) - rest) : 0.f;
    mass = kept;
    if (a.each > 0 && counts) {
      loss -= a.each * (sum - float(classes) * rest);
      mass += float(double(a.each) * classes);
    }
  }
  if (team.lane == 0) {
    if (a.losses) a.losses[row] = loss;
    if (a.loss) a.loss[row] = from_float<T>(loss);
  }
  if (!a.gradient) return;
  if (skipped) {
    const float zeros[N] = {};
    for (int first = elements.begin; first < a.c; first += elements.step)
      store_pack(a.gradient + start, first, a.c, a.vector, zeros);
    return;
  }
  const float scale = a.reduction == kMean ? float(1.0 / (Soft ? double(a.n) : a.totals[0])) : 1.f;
  const float factor = scale * mass / total, even = scale * a.each, peak = scale * kept;
  elements.pass(load, [&](int first, float (&v)[N]) {
    float t[N];
    if (Soft) goal(first, t);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const float e = expf(v[i] - high);
      if (Soft)
        v[i] = fmaf(e, factor, -(scale * t[i]));
      else
        v[i] = a.each > 0 ? fmaf(e, factor, -(even * weight_of(first + i))) : e * factor;
      if (!Soft && first + i == label) v[i] -= peak;
      if (!counts) v[i] = 0;
    }
    store_pack(a.gradient + start, first, a.c, a.vector, v);
  });
}

// gradient * dy, dy one number (step 0) or one a row
template <class T>
__device__ __forceinline__ void cross_entropy_backward(const T* dy, const T* gradient, T* dinput, int64_t n, int c,
                                                       int width, int step, bool vector) {
  constexpr int N = Pack<T>::N;
  Team team(width);
  if (team.row >= n) return;
  const int64_t start = team.row * c;
  const float f = to_float(dy[team.row * step]);
  const auto load = [&](int first, float (&v)[N]) { load_pack(gradient + start, first, c, vector, v); };
  Row<T, false> elements(team, vector ? phase(gradient + start) : 0, c);
  elements.pass(load, [&](int first, float (&v)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) v[i] *= f;
    store_pack(dinput + start, first, c, vector, v);
  });
}

// ---- negative log-likelihood: losses go to `loss`, or as float32 to `losses`

template <class T>
__device__ __forceinline__ void nll_loss(const T* input, const int64_t* labels, const T* weight, int64_t n, int64_t c,
                                         int64_t ignore, T* loss, float* losses) {
  for (int64_t r = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; r < n; r += int64_t(gridDim.x) * blockDim.x) {
    const int64_t label = labels[r];
    const bool counts = label != ignore && label >= 0 && label < c;
    const float value = counts ? -(weight ? to_float(weight[label]) : 1.f) * to_float(input[r * c + label]) : 0.f;
    if (loss) loss[r] = from_float<T>(value);
    if (losses) losses[r] = value;
  }
}

template <class T>
__device__ __forceinline__ void nll_loss_backward(const T* dy, const int64_t* labels, const T* weight,
                                                  const float* total_weight, int64_t n, int c, int64_t ignore,
                                                  int reduction, int width, bool vector, T* dinput) {
  constexpr int N = Pack<T>::N;
  Team team(width);
  if (team.row >= n) return;
  const int64_t label = labels[team.row];
  T* dx = dinput + team.row * c;
  const bool counts = label != ignore && label >= 0 && label < c;
  float value = 0;
  if (counts)
    value = -to_float(dy[reduction == kNone ? team.row : 0]) * (reduction == kMean ? 1.f / *total_weight : 1.f) *
            (weight ? to_float(weight[label]) : 1.f);
  for (int first = team.lane * N - (vector ? phase(dx) : 0); first < c; first += team.width * N) {
    float v[N];
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = counts && first + i == label ? value : 0.f;
    store_pack(dx, first, c, vector, v);
  }
}

// ---- element by element

// The losses of a pack of elements, into x; t, w and p: target, weight and pos_weight.
template <int N>
__device__ __forceinline__ void losses_of(int kind, float (&x)[N], const float (&t)[N], const float (&w)[N],
                                          const float (&p)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float u = x[i] - t[i];
    if (kind == kSquare)
      x[i] = u * u;
    else if (kind == kAbsolute)
      x[i] = fabsf(u);
    else { // ln(1 + e^-x), of which neither half overflows
      const float soft = (log1pf(expf(-fabsf(x[i]))) + (x[i] < 0 ? -x[i] : 0.f)) * fmaf(p[i] - 1, t[i], 1.f);
      x[i] = fmaf(1 - t[i], x[i], soft) * w[i];
    }
  }
}
template <int N>
__device__ __forceinline__ void slopes_of(int kind, float (&x)[N], const float (&t)[N], const float (&w)[N],
                                          const float (&p)[N], bool weighs_positives) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float u = x[i] - t[i];
    if (kind == kSquare)
      x[i] = 2 * u;
    else if (kind == kAbsolute)
      x[i] = u > 0 ? 1.f : u < 0 ? -1.f : 0.f;
    else {
      const float s = 1 / (1 + expf(weighs_positives ? x[i] : -x[i]));
      x[i] = (weighs_positives ? (1 - t[i]) - fmaf(p[i] - 1, t[i], 1.f) * s : s - t[i]) * w[i];
    }
  }
}
template <class T>
__device__ __forceinline__ void load_or_ones(const T* p, int64_t first, int64_t n, bool vector,
                                             float (&v)[Pack<T>::N]) {
  if (p) return load_pack(p, first, n, vector, v);
#pragma unroll
  for (int i = 0; i < Pack<T>::N; i++) v[i] = 1;
}

// A block takes chunks of kChunk elements; their losses go to `loss`, or chunk by chunk their sums to `partial`.
template <class T>
__device__ __forceinline__ void element_losses(const ElementLoss<T>& a) {
  constexpr int N = Pack<T>::N;
  const int64_t chunks = (a.n + kChunk - 1) / kChunk;
  for (int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const int64_t end = (chunk + 1) * kChunk < a.n ? (chunk + 1) * kChunk : a.n;
    float sum = 0;
    for (int64_t e = chunk * kChunk + threadIdx.x * N; e < end; e += blockDim.x * N) {
      float x[N], t[N], w[N], p[N];
      load_pack(a.input, e, a.n, a.vector, x);
      load_pack(a.target, e, a.n, a.vector, t);
      load_or_ones(a.weight, e, a.n, a.vector, w);
      load_or_ones(a.pos_weight, e, a.n, a.vector, p);
      losses_of(a.kind, x, t, w, p);
      if (a.out) store_pack(a.out, e, a.n, a.vector, x);
#pragma unroll
      for (int i = 0; i < N; i++)
        if (e + i < a.n) sum += x[i];
    }
    if (!a.partial) continue;
    const double total = block_sum(sum);
    if (threadIdx.x == 0) a.partial[chunk] = total;
  }
}

template <class T>
__device__ __forceinline__ void element_slopes(const ElementLoss<T>& a) {
  constexpr int N = Pack<T>::N;
  const float factor = a.reduction == kNone   ? 1.f
                       : a.reduction == kMean ? float(double(to_float(a.dy[0])) / double(a.n))
                                              : to_float(a.dy[0]);
  for (int64_t e = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) * N; e < a.n;
       e += int64_t(gridDim.x) * blockDim.x * N) {
    float x[N], t[N], w[N], p[N], g[N];
    load_pack(a.input, e, a.n, a.vector, x);
    load_pack(a.target, e, a.n, a.vector, t);
    load_or_ones(a.weight, e, a.n, a.vector, w);
    load_or_ones(a.pos_weight, e, a.n, a.vector, p);
    if (a.reduction == kNone) load_pack(a.dy, e, a.n, a.vector, g);
    slopes_of(a.kind, x, t, w, p, a.pos_weight);
#pragma unroll
    for (int i = 0; i < N; i++) x[i] *= a.reduction == kNone ? g[i] : factor;
    store_pack(a.out, e, a.n, a.vector, x);
  }
}

// out = the sum of x, divided by *divisor if there is one, else by `number`. One block.
template <class T, class P>
__device__ __forceinline__ void sum_parts(const P* x, int64_t n, const double* divisor, double number, T* out) {
  double total = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) total += double(x[i]);
  total = block_sum(total);
  if (threadIdx.x) return;
  *out = from_float<T>(float(total / (divisor ? *divisor : number)));
}

#define CROSS(name, T, suffix, held, soft, threads)                                                   \
  extern "C" __global__ void __launch_bounds__(threads, 1) name##_##suffix(const CrossEntropy<T> a) { \
    cross_entropy<T, held, soft>(a);                                                                  \
  }
#define LOSSES(T, suffix)                                                                                             \
  CROSS(cross_entropy, T, suffix, true, false, 768)                                                                   \
  CROSS(cross_entropy_long, T, suffix, false, false, 512)                                                             \
  CROSS(cross_entropy_soft, T, suffix, false, true, 512)                                                              \
  extern "C" __global__ void __launch_bounds__(1024)                                                                  \
      label_totals_##suffix(const int64_t* labels, const T* weight, int64_t n, int64_t c, int64_t ignore,             \
                            double* totals, Fault* f, int32_t site) {                                                 \
    label_totals(labels, weight, n, c, ignore, totals, f, site);                                                      \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(1024) cross_entropy_backward_##suffix(                                 \
      const T* dy, const T* gradient, T* dx, int64_t n, int32_t c, int32_t width, int32_t step, bool vector) {        \
    cross_entropy_backward(dy, gradient, dx, n, c, width, step, vector);                                              \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256)                                                                   \
      nll_loss_##suffix(const T* input, const int64_t* labels, const T* weight, int64_t n, int64_t c, int64_t ignore, \
                        T* loss, float* losses) {                                                                     \
    nll_loss(input, labels, weight, n, c, ignore, loss, losses);                                                      \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(1024) nll_loss_backward_##suffix(                                      \
      const T* dy, const int64_t* labels, const T* weight, const float* total_weight, int64_t n, int32_t c,           \
      int64_t ignore, int32_t reduction, int32_t width, bool vector, T* dx) {                                         \
    nll_loss_backward(dy, labels, weight, total_weight, n, c, ignore, reduction, width, vector, dx);                  \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) element_losses_##suffix(const ElementLoss<T> a) {                 \
    element_losses(a);                                                                                                \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) element_slopes_##suffix(const ElementLoss<T> a) {                 \
    element_slopes(a);                                                                                                \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(1024)                                                                  \
      sum_rows_##suffix(const float* x, int64_t n, const double* divisor, double number, T* out) {                    \
    sum_parts(x, n, divisor, number, out);                                                                            \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(1024)                                                                  \
      sum_parts_##suffix(const double* x, int64_t n, const double* divisor, double number, T* out) {                  \
    sum_parts(x, n, divisor, number, out);                                                                            \
  }
FOR_FLOAT(LOSSES)

extern "C" __global__ void __launch_bounds__(1) to_float32(const double* x, float* y) { *y = float(*x); }
