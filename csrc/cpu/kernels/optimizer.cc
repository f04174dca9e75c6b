// Optimizer steps and gradient clipping over whole lists of parameters.
//
// A call walks all tensors of its lists as if they lay back to back and cuts that row into even chunks, so that neither
// one huge embedding nor a hundred small biases leaves a thread idle. Each element is read and written once: AdamW
// moves 28 bytes a float32 parameter. What differs between parameter groups comes as a small table: tensor i uses line
// row[i]. Sums (the global norm) go through partial sums of the fixed chunks, added in the order of the chunks.
#include "core/allocator.h"
#include "core/raise.h"
#include "core/view.h"
#include "cpu/parallel.h"
#include "cpu/wide.h"

namespace engine::ENGINE_ISA {

using namespace simd;

static int64_t chunks_of(const List& list) {
  int64_t total = 0;
  for (int64_t t = 0; t < list.count; t++) total += numel(list[t]);
  return (total + kGrain - 1) / kGrain;
}

// fn(chunk, t, begin, n): elements [begin, begin + n) of tensor t belong to the chunk. Pieces of a chunk come in order,
// on one thread.
template <class Fn>
static void for_each_piece(const List& list, const Fn& fn) {
  int64_t* starts = static_cast<int64_t*>(thread_scratch(0, size_t(list.count + 1) * sizeof(int64_t)));
  starts[0] = 0;
  for (int64_t t = 0; t < list.count; t++) starts[t + 1] = starts[t] + numel(list[t]);
  const int64_t count = list.count;
  parallel_ranges(starts[count], kGrain, [&](int64_t begin, int64_t end) {
    int64_t low = 0, high = count; // the last tensor that starts at or before `begin`
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (starts[middle] <= begin ? low : high) = middle;
    }
    for (int64_t t = low; begin < end; t++) {
      const int64_t stop = starts[t + 1] < end ? starts[t + 1] : end;
      if (stop > begin) fn(begin / kGrain, t, begin - starts[t], stop - begin);
      if (stop > begin) begin = stop;
    }
  });
}

static void check_same_shapes(const char* op, const char* arg, const List& params, const List& others) {
  for (int64_t t = 0; t < params.count; t++) {
    const View &p = params[t], &o = others[t];
    bool same = p.ndim == o.ndim;
    for (int d = 0; same && d < p.ndim; d++) same = p.shape[d] == o.shape[d];
    if (!same)
      raise_value(op, Text("%s[%lld]", arg, (long long)t).s,
                  Text("the shape of its parameter, of %lld elements", (long long)numel(p)),
                  Text("another one, of %lld elements", (long long)numel(o)));
  }
}

// The second factor of gradients, 1 where there is none.
template <class T>
static double factor_of(Opt scale) {
  return scale ? double(*scale.data<T>()) : 1.0;
}

static void check_rows(const char* op, In row, In table) {
  const int32_t* rows = row.data<int32_t>();
  for (int64_t t = 0; t < row.numel(); t++)
    if (rows[t] < 0 || rows[t] >= table.size(0))
      raise_index(op, "row", Text("numbers in [0, %lld)", (long long)table.size(0)),
                  Text("%d at position %lld", rows[t], (long long)t));
}

// ---- Adam and AdamW. A line of the table: lr, beta1, beta2, eps, weight_decay, step, decoupled, maximize.
//
//   g = grad * scale (+ weight_decay * p in Adam);  p *= 1 - lr * weight_decay in AdamW
//   m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g * g
//   p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)

// base^n for a whole n >= 0, by squaring. The C library's pow may round in another way on another machine.
static double power(double base, double n) {
  double result = 1;
  for (uint64_t rest = uint64_t(n); rest; rest >>= 1, base *= base)
    if (rest & 1) result *= base;
  return result;
}

template <class T>
struct Adam {
  V<T> scale, keep, l2, rate1, beta2, rate2, root, eps, step_size;

  Adam(const double* h, double grad_scale) {
    const double lr = h[0], decay = h[4], step = h[5];
    const bool decoupled = h[6] != 0;
    scale = broadcast(T(h[7] != 0 ? -grad_scale : grad_scale));
    keep = broadcast(T(decoupled ? 1 - lr * decay : 1));
    l2 = broadcast(T(decoupled ? 0 : decay));
    rate1 = broadcast(T(1 - h[1]));
    beta2 = broadcast(T(h[2]));
    rate2 = broadcast(T(1 - h[2]));
    root = broadcast(T(__builtin_sqrt(1 - power(h[2], step))));
    eps = broadcast(T(h[3]));
    step_size = broadcast(T(lr / (1 - power(h[1], step))));
  }
  ENGINE_INLINE
  void update(V<T>& p, V<T> g, V<T>& m, V<T>& v) const {
    g = fma(l2, p, g * scale);
    p *= keep;
    m = fma(rate1, g - m, m);
    v = fma(rate2 * g, g, beta2 * v);
    p -= step_size * m / (sqrt(v) / root + eps);
  }
  // n elements; without g their gradient is zero.
  void update_all(int64_t n, T* p, const T* g, T* m, T* v) const {
    constexpr int L = kLanes<T>;
    int64_t i = 0;
    for (; i + L <= n; i += L) {
      V<T> vp = load(p + i), vm = load(m + i), vv = load(v + i);
      update(vp, g ? load(g + i) : zero<T>(), vm, vv);
      store(p + i, vp);
      store(m + i, vm);
      store(v + i, vv);
    }
    if (const int64_t k = n - i; k > 0) {
      V<T> vp = load_n(p + i, k), vm = load_n(m + i, k), vv = load_n(v + i, k);
      update(vp, g ? load_n(g + i, k) : zero<T>(), vm, vv);
      store_n(p + i, vp, k);
      store_n(m + i, vm, k);
      store_n(v + i, vv, k);
    }
  }
  void decay_all(int64_t n, T* p) const {
    constexpr int L = kLanes<T>;
    int64_t i = 0;
    for (; i + L <= n; i += L) store(p + i, load(p + i) * keep);
    if (i < n) store_n(p + i, load_n(p + i, n - i) * keep, n - i);
  }
  // Whether without gradient and averages the update is the decay alone: not where eps is 0 in T, or a factor is not
  // finite. (Nor with an L2 penalty, which is a gradient.)
  bool only_decays() const {
    T p = 1, decayed = 1, m = 0, v = 0;
    update_all(1, &p, nullptr, &m, &v);
    decay_all(1, &decayed);
    return p == decayed && m == 0 && v == 0;
  }
};

template <class T>
void adam_step(InOutList params, InList grads, InOutList exp_avgs, InOutList exp_avg_sqs, In row, In table, Opt scale,
               double grad_scale) {
  grad_scale *= factor_of<T>(scale);
  check_same_shapes("adam_step", "grads", params, grads);
  check_same_shapes("adam_step", "exp_avgs", params, exp_avgs);
  check_same_shapes("adam_step", "exp_avg_sqs", params, exp_avg_sqs);
  check_rows("adam_step", row, table);
  for_each_piece(params, [&](int64_t, int64_t t, int64_t begin, int64_t n) {
    const Adam<T> rule(table.data<double>() + row.data<int32_t>()[t] * table.size(1), grad_scale);
    rule.update_all(n, params.data<T>(t) + begin, grads.data<T>(t) + begin, exp_avgs.data<T>(t) + begin,
                    exp_avg_sqs.data<T>(t) + begin);
  });
}

// One table by rows. What adam_step would do: a row without gradient whose averages are zero moves by its decay alone.
template <class T>
void adam_rows(InOut param, In rows, In values, InOut exp_avg, InOut exp_avg_sq, InOut touched, In table, Opt scale,
               double grad_scale) {
  grad_scale *= factor_of<T>(scale);
  const int64_t v = param.size(0), d = param.size(1), k = rows.numel();
  const int64_t* ids = rows.data<int64_t>();
  for (int64_t i = 0; i < k; i++)
    if (ids[i] < 0 || ids[i] >= v || (i > 0 && ids[i] <= ids[i - 1]))
      raise_index("adam_rows", "rows", Text("rising numbers in [0, %lld)", (long long)v),
                  Text("%lld at position %lld", (long long)ids[i], (long long)i));
  const double* h = table.data<double>();
  const Adam<T> rule(h, grad_scale);
  const bool decoupled = h[6] != 0, decays = decoupled && h[0] * h[4] != 0;
  const bool skips = (decoupled || h[4] == 0) && rule.only_decays();
  bool* seen = touched.data<bool>();
  parallel_ranges(v, row_grain(d), [&](int64_t begin, int64_t end) {
    int64_t at = 0, high = k; // the first of `rows` in the chunk
    while (at < high) {
      const int64_t middle = (at + high) / 2;
      if (ids[middle] < begin)
        at = middle + 1;
      else
        high = middle;
    }
    T *p = param.data<T>(), *m = exp_avg.data<T>(), *s = exp_avg_sq.data<T>();
    for (int64_t r = begin, next; r < end; r = next) {
      next = r + 1;
      const T* g = at < k && ids[at] == r ? values.data<T>() + at++ * d : nullptr;
      if (g) seen[r] = true;
      if (seen[r] || !skips) {
        rule.update_all(d, p + r * d, g, m + r * d, s + r * d);
        continue;
      }
      const int64_t stop = at < k && ids[at] < end ? ids[at] : end;
      while (next < stop && !seen[next]) next++;
      if (decays) rule.decay_all((next - r) * d, p + r * d);
    }
  });
}

// ---- SGD. A line of the table: lr, weight_decay, maximize, momentum, dampening, nesterov, first (no buffer yet).
//
//   g = grad * scale + weight_decay * p;  b = momentum * b + (1 - dampening) * g, or g at first
//   p -= lr * (b, or g + momentum * b with Nesterov)

template <class T>
void sgd_step(InOutList params, InList grads, In row, In table, Opt scale, double grad_scale) {
  grad_scale *= factor_of<T>(scale);
  check_same_shapes("sgd_step", "grads", params, grads);
  check_rows("sgd_step", row, table);
  constexpr int L = kLanes<T>;
  for_each_piece(params, [&](int64_t, int64_t t, int64_t begin, int64_t n) {
    const double* h = table.data<double>() + row.data<int32_t>()[t] * table.size(1);
    const V<T> lr = broadcast(T(h[0])), decay = broadcast(T(h[1])),
               scale = broadcast(T(h[2] != 0 ? -grad_scale : grad_scale));
    T* p = params.data<T>(t) + begin;
    const T* g = grads.data<T>(t) + begin;
    int64_t i = 0;
    for (; i + L <= n; i += L) {
      const V<T> vp = load(p + i);
      store(p + i, vp - lr * fma(decay, vp, load(g + i) * scale));
    }
    if (const int64_t k = n - i; k > 0) {
      const V<T> vp = load_n(p + i, k);
      store_n(p + i, vp - lr * fma(decay, vp, load_n(g + i, k) * scale), k);
    }
  });
}

template <class T>
void sgd_momentum_step(InOutList params, InList grads, InOutList momentum_buffers, In row, In table, Opt scale,
                       double grad_scale) {
  grad_scale *= factor_of<T>(scale);
  check_same_shapes("sgd_momentum_step", "grads", params, grads);
  check_same_shapes("sgd_momentum_step", "momentum_buffers", params, momentum_buffers);
  check_rows("sgd_momentum_step", row, table);
  constexpr int L = kLanes<T>;
  for_each_piece(params, [&](int64_t, int64_t t, int64_t begin, int64_t n) {
    const double* h = table.data<double>() + row.data<int32_t>()[t] * table.size(1);
    const bool nesterov = h[5] != 0, first = h[6] != 0;
    const V<T> lr = broadcast(T(h[0])), decay = broadcast(T(h[1])),
               scale = broadcast(T(h[2] != 0 ? -grad_scale : grad_scale));
    const V<T> momentum = broadcast(T(h[3])), taken = broadcast(T(1 - h[4]));
    T *p = params.data<T>(t) + begin, *b = momentum_buffers.data<T>(t) + begin;
    const T* g = grads.data<T>(t) + begin;
    auto update = [&](V<T>& vp, V<T> vg, V<T>& vb) __attribute__((always_inline)) {
      vg = fma(decay, vp, vg * scale);
      vb = first ? vg : fma(momentum, vb, taken * vg);
      vp -= lr * (nesterov ? fma(momentum, vb, vg) : vb);
    };
    int64_t i = 0;
    for (; i + L <= n; i += L) {
      V<T> vp = load(p + i), vb = load(b + i);
      update(vp, load(g + i), vb);
      store(p + i, vp);
      store(b + i, vb);
    }
    if (const int64_t k = n - i; k > 0) {
      V<T> vp = load_n(p + i, k), vb = load_n(b + i, k);
      update(vp, load_n(g + i, k), vb);
      store_n(p + i, vp, k);
      store_n(b + i, vb, k);
    }
  });
}

// ---- Clipping.

// Lanes add squares in T over blocks short enough to keep their rounding far below that of one gradient; blocks add in
// double.
template <class T>
static double squares(const T* x, int64_t n) {
  constexpr int64_t kBlock = 8192 / sizeof(T);
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const T* from = x + begin;
    Wide<T, 4> block;
    walk<T, 4>(n - begin < kBlock ? n - begin : kBlock, [&](int p, int64_t i, int64_t k) ENGINE_LAMBDA {
      const V<T> v = load_some(from + i, k);
      block[p] = fma(v, v, block[p]);
    });
    total += double(sum(block));
  }
  return total;
}

template <class T>
void grad_norm(InList grads, double norm_type, Out norm) {
  const bool largest = norm_type == __builtin_inf();
  const int64_t chunks = chunks_of(grads);
  double* partial = static_cast<double*>(thread_scratch(1, size_t(chunks) * sizeof(double)));
  for (int64_t c = 0; c < chunks; c++) partial[c] = 0;
  for_each_piece(grads, [&](int64_t chunk, int64_t t, int64_t begin, int64_t n) {
    const T* x = grads.data<T>(t) + begin;
    double& into = partial[chunk];
    if (norm_type == 2) {
      into += squares(x, n);
    } else {
      for (int64_t i = 0; i < n; i++) {
        const double size = __builtin_fabs(double(x[i]));
        if (!largest)
          into += norm_type == 1 ? size : __builtin_pow(size, norm_type);
        else if (size > into || size != size)
          into = size; // a NaN stays
      }
    }
  });
  double total = 0;
  for (int64_t c = 0; c < chunks; c++) {
    if (!largest)
      total += partial[c];
    else if (partial[c] > total || partial[c] != partial[c])
      total = partial[c];
  }
  if (norm_type == 2)
    total = __builtin_sqrt(total);
  else if (!largest && norm_type != 1)
    total = __builtin_pow(total, 1 / norm_type);
  *norm.data<T>() = T(total);
}

template <class T>
void scale_list(InOutList tensors, In factor) {
  constexpr int L = kLanes<T>;
  const V<T> f = broadcast(*factor.data<T>());
  for_each_piece(tensors, [&](int64_t, int64_t t, int64_t begin, int64_t n) {
    T* x = tensors.data<T>(t) + begin;
    int64_t i = 0;
    for (; i + L <= n; i += L) store(x + i, load(x + i) * f);
    if (i < n) store_n(x + i, load_n(x + i, n - i) * f, n - i);
  });
}

template <class T>
void clamp_list(InOutList tensors, double low, double high) {
  constexpr int L = kLanes<T>;
  const V<T> lo = broadcast(T(low)), hi = broadcast(T(high));
  for_each_piece(tensors, [&](int64_t, int64_t t, int64_t begin, int64_t n) {
    T* x = tensors.data<T>(t) + begin;
    int64_t i = 0; // max and min give their second argument if one is NaN, so NaNs pass
    for (; i + L <= n; i += L) store(x + i, min(hi, max(lo, load(x + i))));
    if (i < n) store_n(x + i, min(hi, max(lo, load_n(x + i, n - i))), n - i);
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY optimizer
#include "cpu/instances.h"
