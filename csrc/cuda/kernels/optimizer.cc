// Optimizer steps and clipping: tables of tensors, and launches. What differs between parameter groups is worked out
// here in double, a line for each.
#include "cuda/device/optimizer_arguments.h"

#include <math.h>

#include <vector>

#include "cuda/kernels/rows.h"

namespace engine::cuda {
namespace {

void check_same_shapes(const char* op, const char* arg, const List& params, const List& others) {
  for (int64_t t = 0; t < params.count; t++) {
    const View &p = params[t], &o = others[t];
    bool same = p.ndim == o.ndim;
    for (int d = 0; same && d < p.ndim; d++) same = p.shape[d] == o.shape[d];
    if (!same)
      throw Error(ErrorKind::value, op, std::string(arg) + "[" + std::to_string(t) + "]",
                  "the shape of its parameter, of " + std::to_string(numel(p)) + " elements",
                  "another one, of " + std::to_string(numel(o)) + " elements");
  }
}

void check_rows(const char* op, In row, In table) {
  const int32_t* rows = row.data<int32_t>();
  for (int64_t t = 0; t < row.numel(); t++)
    if (rows[t] < 0 || rows[t] >= table.size(0))
      throw Error(ErrorKind::index, op, "row", "numbers in [0, " + std::to_string(table.size(0)) + ")",
                  std::to_string(rows[t]) + " at position " + std::to_string(t));
}

// The table of the tensors of up to four lists, the empty ones left out.
struct Table {
  std::vector<Tensors> tensors;
  int64_t pieces = 0;
  Table(const List* p, const List* g, const List* m, const List* v, const int32_t* rows) {
    const List& all = p ? *p : *g;
    for (int64_t i = 0; i < all.count; i++) {
      Tensors t = {};
      t.n = numel(all[i]);
      if (!t.n) continue;
      if (p) t.p = (*p)[i].data;
      if (g) t.g = (*g)[i].data;
      if (m) t.m = (*m)[i].data;
      if (v) t.v = (*v)[i].data;
      t.line = rows ? rows[i] : 0;
      t.vector = aligned({t.p, t.g, t.m, t.v});
      t.first_piece = pieces;
      pieces += (t.n + kPiece - 1) / kPiece;
      tensors.push_back(t);
    }
  }
  size_t bytes() const { return tensors.size() * sizeof(Tensors); }
  int32_t count() const { return int32_t(tensors.size()); }
  // One launch over all pieces.
  template <class... A>
  void launch(const Kernel& kernel, A... arguments) const {
    if (!pieces) return;
    const Scratch table(tensors.data(), bytes());
    cuda::launch(kernel, {blocks(pieces, 1)}, {256}, kTeamShared, static_cast<const Tensors*>(table.data<Tensors>()),
                 count(), arguments...);
  }
};

AdamLine adam_line(const double* h, double grad_scale) {
  const double lr = h[0], decay = h[4], step = h[5];
  const bool decoupled = h[6] != 0;
  AdamLine a;
  a.scale = float(h[7] != 0 ? -grad_scale : grad_scale);
  a.keep = float(decoupled ? 1 - lr * decay : 1);
  a.l2 = float(decoupled ? 0 : decay);
  a.rate1 = float(1 - h[1]);
  a.beta2 = float(h[2]);
  a.rate2 = float(1 - h[2]);
  a.root = float(sqrt(1 - pow(h[2], step)));
  a.eps = float(h[3]);
  a.step_size = float(lr / (1 - pow(h[1], step)));
  return a;
}
// Whether without gradient and averages the update is the decay alone: not where eps is 0, or a factor is not finite.
bool only_decays(const AdamLine& a) {
  const float g = fmaf(a.l2, 1, 0 * a.scale), m = fmaf(a.rate1, g, 0), v = fmaf(a.rate2 * g, g, a.beta2 * 0);
  return a.keep - a.step_size * m / (sqrtf(v) / a.root + a.eps) == a.keep && m == 0 && v == 0;
}

template <class T>
void sgd(const char* op, InOutList params, InList grads, const InOutList* buffers, In row, In table, Opt scale,
         double grad_scale) {
  static const Kernel kernel("optimizer", named<T>("sgd_step"));
  check_same_shapes(op, "grads", params, grads);
  if (buffers) check_same_shapes(op, "momentum_buffers", params, *buffers);
  check_rows(op, row, table);
  std::vector<SgdLine> lines;
  for (int64_t i = 0; i < table.size(0); i++) {
    const double* h = table.data<double>() + i * table.size(1);
    lines.push_back({float(h[0]), float(h[1]), float(h[2] != 0 ? -grad_scale : grad_scale), float(h[3]),
                     float(1 - h[4]), h[5] != 0, h[6] != 0});
  }
  const Table tensors(&params, &grads, buffers, nullptr, row.data<int32_t>());
  const Scratch sent(lines.data(), lines.size() * sizeof(SgdLine));
  tensors.launch(kernel, static_cast<const SgdLine*>(sent.data<SgdLine>()), scale.data<float>());
}

} // namespace

template <class T>
void adam_step(InOutList params, InList grads, InOutList exp_avgs, InOutList exp_avg_sqs, In row, In table, Opt scale,
               double grad_scale) {
  static const Kernel kernel("optimizer", named<T>("adam_step"));
  check_same_shapes("adam_step", "grads", params, grads);
  check_same_shapes("adam_step", "exp_avgs", params, exp_avgs);
  check_same_shapes("adam_step", "exp_avg_sqs", params, exp_avg_sqs);
  check_rows("adam_step", row, table);
  std::vector<AdamLine> lines;
  for (int64_t i = 0; i < table.size(0); i++)
    lines.push_back(adam_line(table.data<double>() + i * table.size(1), grad_scale));
  const Table tensors(&params, &grads, &exp_avgs, &exp_avg_sqs, row.data<int32_t>());
  const Scratch sent(lines.data(), lines.size() * sizeof(AdamLine));
  tensors.launch(kernel, static_cast<const AdamLine*>(sent.data<AdamLine>()), scale.data<float>());
}

template <class T>
void adam_rows(InOut param, In rows, In values, InOut exp_avg, InOut exp_avg_sq, InOut touched, In table, Opt scale,
               double grad_scale) {
  static const Kernel mark("optimizer", "find_rows"), kernel("optimizer", named<T>("adam_rows"));
  static const int site = fault_site("adam_rows", "rows", Wrong::index);
  const int64_t v = param.size(0), k = rows.numel();
  const int d = checked_width("adam_rows", param.size(1));
  const double* h = table.data<double>();
  const AdamLine line = adam_line(h, grad_scale);
  const bool decoupled = h[6] != 0, decays = decoupled && h[0] * h[4] != 0;
  const bool skips = (decoupled || h[4] == 0) && only_decays(line);
  const Scratch where(size_t(v) * sizeof(int32_t));
  fill_bytes(where.data<int32_t>(), 0xff, size_t(v) * sizeof(int32_t));
  launch(mark, {busy_blocks(k, 256)}, {256}, 0, rows.data<int64_t>(), k, v, where.data<int32_t>(), touched.data<bool>(),
         faults(), int32_t(site));
  int width = 1;
  while (width < 32 && width * kPack<T> < d) width *= 2;
  T *p = param.data<T>(), *m = exp_avg.data<T>(), *s = exp_avg_sq.data<T>();
  const bool vector = d % kPack<T> == 0 && aligned({p, m, s, values.data<T>()});
  launch(kernel, {blocks(d ? v : 0, 256 / width)}, {256}, 0, p, values.data<T>(), m, s,
         static_cast<const bool*>(touched.data<bool>()), static_cast<const int32_t*>(where.data<int32_t>()), v,
         int32_t(d), int32_t(width), vector, skips, decays, line, scale.data<float>());
}

template <class T>
void sgd_step(InOutList params, InList grads, In row, In table, Opt scale, double grad_scale) {
  sgd<T>("sgd_step", params, grads, nullptr, row, table, scale, grad_scale);
}
template <class T>
void sgd_momentum_step(InOutList params, InList grads, InOutList momentum_buffers, In row, In table, Opt scale,
                       double grad_scale) {
  sgd<T>("sgd_momentum_step", params, grads, &momentum_buffers, row, table, scale, grad_scale);
}

template <class T>
void grad_norm(InList grads, double norm_type, Out norm) {
  static const Kernel pieces("optimizer", named<T>("norm_pieces")), any("optimizer", named<T>("norm_pieces_any")),
      total("optimizer", "norm_total");
  const int kind = norm_type == 2 ? kTwo : norm_type == 1 ? kOne : isinf(norm_type) ? kLargest : kAny;
  const Table tensors(nullptr, &grads, nullptr, nullptr, nullptr);
  const Scratch partial(size_t(tensors.pieces) * sizeof(double));
  double* parts = partial.data<double>();
  tensors.launch(kind == kAny ? any : pieces, int32_t(kind), norm_type, parts);
  launch(total, {1}, {256}, kTeamShared, static_cast<const double*>(parts), tensors.pieces, int32_t(kind), norm_type,
         norm.data<float>());
}

template <class T>
void scale_list(InOutList tensors, In factor) {
  static const Kernel kernel("optimizer", named<T>("clip"));
  Table(&tensors, nullptr, nullptr, nullptr, nullptr).launch(kernel, factor.data<float>(), 0.f, 0.f);
}
template <class T>
void clamp_list(InOutList tensors, double low, double high) {
  static const Kernel kernel("optimizer", named<T>("clip"));
  Table(&tensors, nullptr, nullptr, nullptr, nullptr)
      .launch(kernel, static_cast<const float*>(nullptr), float(low), float(high));
}

} // namespace engine::cuda

#define FAMILY optimizer
#include "cuda/instances.h"
