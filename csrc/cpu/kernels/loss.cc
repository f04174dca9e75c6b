// Losses, with PyTorch's definitions of weights and reductions. A mean or sum is added up in fixed chunks, in their
// order.
//
// Cross-entropy reads its logits once and leaves loss and gradient: with softmax p and the target distribution t of a
// row (weights, smoothing and all, of sum S), loss = -sum(t * ln p) and dloss/dx = p * S - t.
#include "core/allocator.h"
#include "core/raise.h"
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace engine::ENGINE_ISA {

using namespace simd;

enum Reduction : int64_t { kNone, kMean, kSum };

// The sum over chunks of `grain` of part(begin, end), in double.
template <class F>
static double chunked_sum(int64_t n, int64_t grain, const F& part) {
  const int64_t chunks = (n + grain - 1) / grain;
  double* parts = static_cast<double*>(thread_scratch(0, size_t(chunks) * sizeof(double)));
  parallel_ranges(n, grain, [&](int64_t begin, int64_t end) { parts[begin / grain] = part(begin, end); });
  double total = 0;
  for (int64_t c = 0; c < chunks; c++) total += parts[c];
  return total;
}

// ---- cross-entropy

// What one call asks of every row.
template <class T>
struct CrossEntropy {
  const T *input, *weight; // weight null: ones
  int64_t n, c;
  double smoothing, weights; // weights: the sum of `weight`
  T scale;                   // of the gradient
  T *losses, *gradient;      // null: not wanted
};

template <class T>
static T weight_total(const T* weight, int64_t c) {
  return weight ? row_sum(weight, c) : T(c);
}

// A row's largest logit, the sum of e^(logit - high), and its logarithm; the terms are written where the gradient will
// be.
template <class T>
struct Exponentials {
  T high, total, rest;
};

// The loss of row r with a label; leaves the row's gradient.
template <class T>
static double label_row(const CrossEntropy<T>& a, int64_t r, const Exponentials<T>& found, int64_t label) {
  const T *x = a.input + r * a.c, *w = a.weight;
  T* g = a.gradient ? a.gradient + r * a.c : nullptr;
  const auto [high, total, rest] = found;
  const T kept = T(1 - a.smoothing) * (w ? w[label] : T(1)), each = T(a.smoothing / double(a.c));
  double loss = -double(kept) * (double(x[label] - high) - double(rest));
  T mass = kept;
  if (each > 0) {
    const V<T> vm = broadcast(high);
    const T sum = row_total<T>(a.c, [&](int64_t i, int64_t k) ENGINE_LAMBDA {
      V<T> u = load_some(x + i, k) - vm;
      if (k < kLanes<T>) u = first_lanes(u, k, T(0));
      return w ? u * load_some(w + i, k) : u;
    });
    loss -= double(each) * (double(sum) - a.weights * double(rest));
    mass += T(double(each) * a.weights);
  }
  if (g) {
    const V<T> factor = broadcast(a.scale * mass / total), even = broadcast(a.scale * each);
    if (!(each > 0))
      row_map(a.c, g, g, [=](V<T> e) ENGINE_LAMBDA { return e * factor; });
    else if (!w)
      row_map(a.c, g, g, [=](V<T> e) ENGINE_LAMBDA { return fma(e, factor, -even); });
    else
      row_map(a.c, g, g, w, [=](V<T> e, V<T> v) ENGINE_LAMBDA { return fma(e, factor, -(even * v)); });
    g[label] -= a.scale * kept;
  }
  return loss;
}

// The same for a row of target probabilities.
template <class T>
static double soft_row(const CrossEntropy<T>& a, int64_t r, const Exponentials<T>& found, const T* target) {
  const T *x = a.input + r * a.c, *w = a.weight;
  T* g = a.gradient ? a.gradient + r * a.c : nullptr;
  const auto [high, total, rest] = found;
  const V<T> vm = broadcast(high), kept = broadcast(T(1 - a.smoothing)), each = broadcast(T(a.smoothing / double(a.c)));
  const auto goal = [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    V<T> t = fma(load_some(target + i, k), kept, each);
    if (w) t = t * load_some(w + i, k);
    return k < kLanes<T> ? first_lanes(t, k, T(0)) : t;
  };
  const T mass = row_total<T>(a.c, goal);
  const T sum =
      row_total<T>(a.c, [&](int64_t i, int64_t k) ENGINE_LAMBDA { return goal(i, k) * (load_some(x + i, k) - vm); });
  if (g) {
    const V<T> factor = broadcast(a.scale * mass / total), scale = broadcast(a.scale);
    for (int64_t i = 0; i < a.c; i += kLanes<T>) {
      const int64_t k = a.c - i < kLanes<T> ? a.c - i : kLanes<T>;
      store_some(g + i, fma(load_some(g + i, k), factor, -(scale * goal(i, k))), k);
    }
  }
  return double(mass) * double(rest) - double(sum);
}

// row(r, exponentials) gives row r's loss and leaves its gradient; `divisor` is what a mean divides by. The
// exponentials of some rows are taken before the first loss: no row waits for another's, and their logarithms are one
// vector's. counts(r): whether the row's exponentials are wanted.
template <class T, class Counts, class F>
static void all_rows(CrossEntropy<T>& a, int64_t reduction, double divisor, T* out, const Counts& counts,
                     const F& row) {
  a.scale = reduction == kMean ? T(1 / divisor) : T(1);
  const double total = chunked_sum(a.n, row_grain(a.c), [&](int64_t begin, int64_t end) {
    const int64_t together = a.c <= 1024 ? kTogether : 1; // few enough to stay in the cache until their turn
    double sum = 0;
    for (int64_t first = begin; first < end; first += together) {
      const int64_t rows = end - first < together ? end - first : together;
      T high[kTogether] = {}, total[kTogether] = {}, rest[kTogether];
      for (int64_t i = 0; i < rows; i++) {
        if (!counts(first + i)) continue;
        const T* x = a.input + (first + i) * a.c;
        high[i] = row_max(x, a.c);
        total[i] = row_exp(x, high[i], a.c, a.gradient ? a.gradient + (first + i) * a.c : nullptr);
      }
      for (int64_t i = 0; i < kTogether; i += kLanes<T>) store(rest + i, log(load(total + i)));
      for (int64_t i = 0; i < rows; i++) {
        const double loss = row(first + i, Exponentials<T>{high[i], total[i], rest[i]});
        if (reduction == kNone) out[first + i] = T(loss);
        sum += loss;
      }
    }
    return sum;
  });
  if (reduction != kNone) out[0] = T(reduction == kMean ? total / divisor : total);
}

template <class T>
void cross_entropy(In input, In target, Opt weight, int64_t ignore_index, double label_smoothing, int64_t reduction,
                   int64_t, int64_t grad_rows, Out loss, Out dinput) {
  const int64_t n = input.size(0), c = input.size(1);
  const int64_t* labels = target.data<int64_t>();
  check_indices("cross_entropy", "target", labels, n, c, ignore_index);
  const T* w = weight.data<T>();
  CrossEntropy<T> a = {};
  a.input = input.data<T>();
  a.weight = w;
  a.n = n;
  a.c = c;
  a.smoothing = label_smoothing;
  a.weights = double(weight_total(w, c));
  a.gradient = grad_rows ? dinput.data<T>() : nullptr;
  double divisor = 0;
  if (w) {
    for (int64_t r = 0; r < n; r++)
      if (labels[r] != ignore_index) divisor += double(w[labels[r]]);
  } else {
    int64_t count = 0;
    for (int64_t r = 0; r < n; r++) count += labels[r] != ignore_index;
    divisor = double(count);
  }
  auto counts = [&](int64_t r) { return labels[r] != ignore_index; };
  all_rows(a, reduction, divisor, loss.data<T>(), counts, [&](int64_t r, const Exponentials<T>& e) {
    if (counts(r)) return label_row(a, r, e, labels[r]);
    for (int64_t i = 0; a.gradient && i < c; i++) a.gradient[r * c + i] = 0;
    return 0.0;
  });
}

template <class T>
void cross_entropy_soft(In input, In target, Opt weight, double label_smoothing, int64_t reduction, int64_t,
                        int64_t grad_rows, Out loss, Out dinput) {
  const int64_t n = input.size(0), c = input.size(1);
  CrossEntropy<T> a = {};
  a.input = input.data<T>();
  a.weight = weight.data<T>();
  a.n = n;
  a.c = c;
  a.smoothing = label_smoothing;
  a.gradient = grad_rows ? dinput.data<T>() : nullptr;
  all_rows(
      a, reduction, double(n), loss.data<T>(), [](int64_t) { return true; },
      [&](int64_t r, const Exponentials<T>& e) { return soft_row(a, r, e, target.data<T>() + r * c); });
}

template <class T>
void cross_entropy_backward(In dy, In gradient, Out dinput) {
  const int64_t n = gradient.size(0), c = gradient.size(1), step = dy.size(0) == n ? 1 : 0;
  if (step == 0 && dy.size(0) != 1)
    raise_value("cross_entropy_backward", "dy", Text("1 or %lld elements", (long long)n),
                Text("%lld", (long long)dy.size(0)));
  parallel_ranges(n, row_grain(c), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      row_map(c, dinput.data<T>() + r * c, gradient.data<T>() + r * c,
              [f = broadcast(dy.data<T>()[r * step])](V<T> g) ENGINE_LAMBDA { return g * f; });
  });
}

// ---- negative log-likelihood

template <class T>
void nll_loss(In input, In target, Opt weight, int64_t ignore_index, int64_t reduction, int64_t, Out loss,
              Out total_weight) {
  const int64_t n = input.size(0), c = input.size(1);
  const int64_t* labels = target.data<int64_t>();
  check_indices("nll_loss", "target", labels, n, c, ignore_index);
  const T *x = input.data<T>(), *w = weight.data<T>();
  T* out = loss.data<T>();
  double total = 0, weights = 0;
  for (int64_t r = 0; r < n; r++) {
    const bool counts = labels[r] != ignore_index;
    const T f = counts ? (w ? w[labels[r]] : T(1)) : T(0), value = counts ? -f * x[r * c + labels[r]] : T(0);
    if (reduction == kNone) out[r] = value;
    total += double(value);
    weights += double(f);
  }
  *total_weight.data<T>() = T(weights);
  if (reduction != kNone) out[0] = T(reduction == kMean ? total / weights : total);
}

template <class T>
void nll_loss_backward(In dy, In target, Opt weight, In total_weight, int64_t ignore_index, int64_t reduction,
                       int64_t c, Out dinput) {
  const int64_t n = target.size(0), step = reduction == kNone ? 1 : 0;
  const int64_t* labels = target.data<int64_t>();
  const T *g = dy.data<T>(), *w = weight.data<T>();
  const T scale = reduction == kMean ? T(1) / *total_weight.data<T>() : T(1);
  parallel_ranges(n, row_grain(c), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      T* dx = dinput.data<T>() + r * c;
      for (int64_t i = 0; i < c; i++) dx[i] = 0;
      if (labels[r] != ignore_index) dx[labels[r]] = -g[r * step] * scale * (w ? w[labels[r]] : T(1));
    }
  });
}

// ---- element by element

// f(i, k) gives the losses of the k elements at i.
template <class T, class F>
static void element_losses(int64_t n, int64_t reduction, T* out, const F& f) {
  constexpr int L = kLanes<T>;
  if (reduction == kNone)
    return parallel_ranges(n, kGrain, [&](int64_t i, int64_t end) {
      for (; i + L <= end; i += L) store(out + i, f(i, L));
      if (i < end) store_n(out + i, f(i, end - i), end - i);
    });
  const double total = chunked_sum(n, kGrain, [&](int64_t begin, int64_t end) {
    return double(row_total<T>(end - begin, [&](int64_t i, int64_t k) ENGINE_LAMBDA {
      const V<T> v = f(begin + i, k);
      return k < L ? first_lanes(v, k, T(0)) : v;
    }));
  });
  out[0] = T(reduction == kMean ? total / double(n) : total);
}

// f(i, k) gives the slopes of the k elements at i.
template <class T, class F>
static void element_slopes(int64_t n, int64_t reduction, const T* dy, T* dx, const F& f) {
  constexpr int L = kLanes<T>;
  const V<T> factor = broadcast(reduction == kNone || n == 0 ? T(1)
                                : reduction == kMean         ? T(double(dy[0]) / double(n))
                                                             : dy[0]);
  const T* each = reduction == kNone ? dy : nullptr;
  parallel_ranges(n, kGrain, [&](int64_t i, int64_t end) {
    for (; i < end; i += L) {
      const int64_t k = end - i < L ? end - i : L;
      store_some(dx + i, f(i, k) * (each ? load_some(each + i, k) : factor), k);
    }
  });
}

template <class T>
void binary_cross_entropy_with_logits(In input, In target, Opt weight, Opt pos_weight, int64_t reduction, int64_t,
                                      Out loss) {
  const T *x = input.data<T>(), *t = target.data<T>(), *w = weight.data<T>(), *p = pos_weight.data<T>();
  const V<T> one = broadcast(T(1));
  element_losses(input.numel(), reduction, loss.data<T>(), [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    const V<T> vx = load_some(x + i, k), vt = load_some(t + i, k);
    // ln(1 + e^-x), of which neither half overflows
    V<T> soft = log1p(exp(-abs(vx))) + (vx < T(0) ? -vx : zero<T>());
    if (p) soft = soft * fma(load_some(p + i, k) - one, vt, one);
    const V<T> y = fma(one - vt, vx, soft);
    return w ? y * load_some(w + i, k) : y;
  });
}

template <class T>
void binary_cross_entropy_with_logits_backward(In dy, In input, In target, Opt weight, Opt pos_weight,
                                               int64_t reduction, Out dinput) {
  const T *x = input.data<T>(), *t = target.data<T>(), *w = weight.data<T>(), *p = pos_weight.data<T>();
  const V<T> one = broadcast(T(1));
  element_slopes(input.numel(), reduction, dy.data<T>(), dinput.data<T>(), [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    const V<T> vx = load_some(x + i, k), vt = load_some(t + i, k);
    V<T> slope = sigmoid(vx) - vt;
    if (p) slope = (one - vt) - fma(load_some(p + i, k) - one, vt, one) * sigmoid(-vx);
    return w ? slope * load_some(w + i, k) : slope;
  });
}

template <class T>
void mse_loss(In input, In target, int64_t reduction, int64_t, Out loss) {
  const T *x = input.data<T>(), *t = target.data<T>();
  element_losses(input.numel(), reduction, loss.data<T>(), [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    const V<T> u = load_some(x + i, k) - load_some(t + i, k);
    return u * u;
  });
}
template <class T>
void mse_loss_backward(In dy, In input, In target, int64_t reduction, Out dinput) {
  const T *x = input.data<T>(), *t = target.data<T>();
  element_slopes(input.numel(), reduction, dy.data<T>(), dinput.data<T>(), [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    return T(2) * (load_some(x + i, k) - load_some(t + i, k));
  });
}

template <class T>
void l1_loss(In input, In target, int64_t reduction, int64_t, Out loss) {
  const T *x = input.data<T>(), *t = target.data<T>();
  element_losses(input.numel(), reduction, loss.data<T>(),
                 [&](int64_t i, int64_t k) ENGINE_LAMBDA { return abs(load_some(x + i, k) - load_some(t + i, k)); });
}
template <class T>
void l1_loss_backward(In dy, In input, In target, int64_t reduction, Out dinput) {
  const T *x = input.data<T>(), *t = target.data<T>();
  const V<T> one = broadcast(T(1)), none = zero<T>();
  element_slopes(input.numel(), reduction, dy.data<T>(), dinput.data<T>(), [&](int64_t i, int64_t k) ENGINE_LAMBDA {
    const V<T> u = load_some(x + i, k) - load_some(t + i, k);
    return u > T(0) ? one : u < T(0) ? -one : none;
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY loss
#include "cpu/instances.h"
