// Losses: launches.
#include "cuda/device/loss_arguments.h"

#include "cuda/kernels/rows.h"

namespace engine::cuda {
namespace {

// out = the sum of n numbers, divided by the number at `divisor`, or by `number`.
template <class T, class P>
void sum_into(Out out, const P* parts, int64_t n, const double* divisor, double number) {
  static const Kernel kernel("loss", named<T>(sizeof(P) == 4 ? "sum_rows" : "sum_parts"));
  launch(kernel, {1}, {n > 256 ? 1024u : 128u}, kTeamShared, parts, n, divisor, number, out.data<T>());
}

// The sum of the weights of the labels that count, and that of all weights; labels are checked.
template <class T>
void label_totals(In target, Opt weight, int64_t c, int64_t ignore_index, int site, double* totals) {
  static const Kernel kernel("loss", named<T>("label_totals"));
  launch(kernel, {1}, {1024}, kTeamShared, target.data<int64_t>(), weight.data<T>(), target.numel(), c, ignore_index,
         totals, faults(), int32_t(site));
}

template <class T>
void cross_entropies(const char* op, CrossEntropy<T> a, bool soft, In input, double smoothing, int64_t reduction,
                     int64_t grad_rows, Out loss, Out dinput) {
  static const Kernel labels("loss", named<T>("cross_entropy")), labels_long("loss", named<T>("cross_entropy_long")),
      probabilities("loss", named<T>("cross_entropy_soft")); // reads its rows again: targets are read twice anyway
  a.input = input.data<T>();
  a.n = input.size(0);
  a.c = checked_width(op, input.size(1));
  a.kept = float(1 - smoothing);
  a.each = a.c ? float(smoothing / a.c) : 0.f;
  a.reduction = int32_t(reduction);
  a.gradient = grad_rows ? dinput.data<T>() : nullptr;
  const Scratch losses(size_t(a.n) * sizeof(float));
  a.loss = reduction == kNone ? loss.data<T>() : nullptr;
  a.losses = reduction == kNone ? nullptr : losses.data<float>();
  Teams t = teams<T>(a.c, 40 / kPack<T>, 1, 768);
  if (t.width > 32 && (soft || !t.held)) t.width = int(t.threads = 512);
  a.width = t.width;
  a.vector = same_phase({a.input, a.gradient, a.target});
  launch(soft ? probabilities : t.held ? labels : labels_long, {blocks(a.n, t.rows)}, {t.threads}, kTeamShared, a);
  if (reduction != kNone)
    sum_into<T>(loss, static_cast<const float*>(a.losses), a.n, reduction == kMean && !soft ? a.totals : nullptr,
                reduction == kMean ? double(a.n) : 1.0);
}

template <class T>
ElementLoss<T> elements(ElementKind kind, In input, In target, Opt weight, Opt pos_weight, int64_t reduction) {
  ElementLoss<T> a = {};
  a.input = input.data<T>();
  a.target = target.data<T>();
  a.weight = weight.data<T>();
  a.pos_weight = pos_weight.data<T>();
  a.n = input.numel();
  a.kind = kind;
  a.reduction = int32_t(reduction);
  return a;
}

template <class T>
void losses_of(ElementLoss<T> a, Out loss) {
  static const Kernel kernel("loss", named<T>("element_losses"));
  const int64_t chunks = (a.n + kChunk - 1) / kChunk;
  const Scratch partial(size_t(chunks) * sizeof(double));
  if (a.reduction == kNone)
    a.out = loss.data<T>();
  else
    a.partial = partial.data<double>();
  a.vector = aligned({a.input, a.target, a.weight, a.pos_weight, a.out});
  launch(kernel, {blocks(a.n, kChunk)}, {256}, kTeamShared, a);
  if (a.reduction != kNone)
    sum_into<T>(loss, static_cast<const double*>(a.partial), chunks, nullptr, a.reduction == kMean ? double(a.n) : 1.0);
}

template <class T>
void slopes_of(ElementLoss<T> a, In dy, Out dinput) {
  static const Kernel kernel("loss", named<T>("element_slopes"));
  a.dy = dy.data<T>();
  a.out = dinput.data<T>();
  a.vector = aligned({a.input, a.target, a.weight, a.pos_weight, a.out, a.reduction == kNone ? a.dy : nullptr});
  launch(kernel, {busy_blocks(a.n, 256 * kPack<T>)}, {256}, 0, a);
}

constexpr Opt kNothing = {};

} // namespace

template <class T>
void cross_entropy(In input, In target, Opt weight, int64_t ignore_index, double label_smoothing, int64_t reduction,
                   int64_t, int64_t grad_rows, Out loss, Out dinput) {
  static const int site = fault_site("cross_entropy", "target", Wrong::index);
  const Scratch totals(2 * sizeof(double));
  label_totals<T>(target, weight, input.size(1), ignore_index, site, totals.data<double>());
  CrossEntropy<T> a = {};
  a.labels = target.data<int64_t>();
  a.weight = weight.data<T>();
  a.ignore = ignore_index;
  a.totals = totals.data<double>();
  cross_entropies("cross_entropy", a, false, input, label_smoothing, reduction, grad_rows, loss, dinput);
}

template <class T>
void cross_entropy_soft(In input, In target, Opt weight, double label_smoothing, int64_t reduction, int64_t,
                        int64_t grad_rows, Out loss, Out dinput) {
  CrossEntropy<T> a = {};
  a.target = target.data<T>();
  a.weight = weight.data<T>();
  cross_entropies("cross_entropy_soft", a, true, input, label_smoothing, reduction, grad_rows, loss, dinput);
}

template <class T>
void cross_entropy_backward(In dy, In gradient, Out dinput) {
  static const Kernel kernel("loss", named<T>("cross_entropy_backward"));
  const int64_t n = gradient.size(0);
  const int c = checked_width("cross_entropy_backward", gradient.size(1)), step = dy.size(0) == n ? 1 : 0;
  if (step == 0 && dy.size(0) != 1)
    throw Error(ErrorKind::value, "cross_entropy_backward", "dy", "1 or " + std::to_string(n) + " elements",
                std::to_string(dy.size(0)));
  const Teams t = teams<T>(c, 32 / kPack<T>);
  const bool vector = same_phase({gradient.data<T>(), dinput.data<T>()});
  launch(kernel, {blocks(n, t.rows)}, {t.threads}, 0, dy.data<T>(), gradient.data<T>(), dinput.data<T>(), n, int32_t(c),
         int32_t(t.width), int32_t(step), vector);
}

template <class T>
void nll_loss(In input, In target, Opt weight, int64_t ignore_index, int64_t reduction, int64_t, Out loss,
              Out total_weight) {
  static const int site = fault_site("nll_loss", "target", Wrong::index);
  static const Kernel kernel("loss", named<T>("nll_loss")), store("loss", "to_float32");
  const int64_t n = input.size(0), c = input.size(1);
  const Scratch totals(2 * sizeof(double)), losses(size_t(n) * sizeof(float));
  label_totals<T>(target, weight, c, ignore_index, site, totals.data<double>());
  const double* total = totals.data<double>();
  launch(store, {1}, {1}, 0, total, total_weight.data<float>());
  launch(kernel, {blocks(n, 256)}, {256}, 0, input.data<T>(), target.data<int64_t>(), weight.data<T>(), n, c,
         ignore_index, reduction == kNone ? loss.data<T>() : nullptr,
         reduction == kNone ? nullptr : losses.data<float>());
  if (reduction != kNone)
    sum_into<T>(loss, static_cast<const float*>(losses.data<float>()), n, reduction == kMean ? total : nullptr, 1.0);
}

template <class T>
void nll_loss_backward(In dy, In target, Opt weight, In total_weight, int64_t ignore_index, int64_t reduction,
                       int64_t c, Out dinput) {
  static const Kernel kernel("loss", named<T>("nll_loss_backward"));
  const int64_t n = target.size(0);
  const int width = checked_width("nll_loss_backward", c);
  const Teams t = teams<T>(c, 32 / kPack<T>);
  launch(kernel, {blocks(n, t.rows)}, {t.threads}, 0, dy.data<T>(), target.data<int64_t>(), weight.data<T>(),
         total_weight.data<float>(), n, int32_t(width), ignore_index, int32_t(reduction), int32_t(t.width), true,
         dinput.data<T>());
}

template <class T>
void binary_cross_entropy_with_logits(In input, In target, Opt weight, Opt pos_weight, int64_t reduction, int64_t,
                                      Out loss) {
  losses_of(elements<T>(kLogits, input, target, weight, pos_weight, reduction), loss);
}
template <class T>
void binary_cross_entropy_with_logits_backward(In dy, In input, In target, Opt weight, Opt pos_weight,
                                               int64_t reduction, Out dinput) {
  slopes_of(elements<T>(kLogits, input, target, weight, pos_weight, reduction), dy, dinput);
}
template <class T>
void mse_loss(In input, In target, int64_t reduction, int64_t, Out loss) {
  losses_of(elements<T>(kSquare, input, target, kNothing, kNothing, reduction), loss);
}
template <class T>
void mse_loss_backward(In dy, In input, In target, int64_t reduction, Out dinput) {
  slopes_of(elements<T>(kSquare, input, target, kNothing, kNothing, reduction), dy, dinput);
}
template <class T>
void l1_loss(In input, In target, int64_t reduction, int64_t, Out loss) {
  losses_of(elements<T>(kAbsolute, input, target, kNothing, kNothing, reduction), loss);
}
template <class T>
void l1_loss_backward(In dy, In input, In target, int64_t reduction, Out dinput) {
  slopes_of(elements<T>(kAbsolute, input, target, kNothing, kNothing, reduction), dy, dinput);
}

} // namespace engine::cuda

#define FAMILY loss
#include "cuda/instances.h"
