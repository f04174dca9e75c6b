// Normalisations: launches.
#include "cuda/kernels/rows.h"

namespace engine::cuda {
namespace {

template <class T>
void forward(NormForward<T> a, bool centred) {
  const int64_t n = a.n;
  // Decisions of dropout are drawn by whole warps.
  const bool plain = !a.draws.how && !a.residual && !a.sum;
  Teams t = teams<T>(a.d, 32 / kPack<T>, a.draws.how ? 32 : 1, plain ? 1024 : 512);
  if (!t.held) t.width = int(t.threads = 512);
  a.width = t.width;
  a.vector = same_phase({a.x, a.residual, a.y, a.sum});
  a.vector_weight = aligned({a.weight, a.bias});
  if (!aligned({a.x, a.y}) || !a.vector || a.d % kPack<T>) a.draws.how = a.draws.how ? 2 : 0;
  static const Kernel layer("norm", named<T>("layer_norm")), layer_long("norm", named<T>("layer_norm_long")),
      fused("norm", named<T>("dropout_add_layer_norm")), rms("norm", named<T>("rms_norm")),
      rms_long("norm", named<T>("rms_norm_long"));
  const Kernel& kernel = centred ? (t.held ? (plain ? layer : fused) : layer_long) : (t.held ? rms : rms_long);
  launch(kernel, {blocks(n, t.rows)}, {t.threads}, kTeamShared, a);
}

template <class T>
void backward(NormBackward<T> a, T* dweight, T* dbias) {
  if (a.d == 0) return; // no columns: nothing to write
  const bool centred = a.mean;
  const int parts = centred ? 2 : 1;
  // About a thousand chunks: enough for every multiprocessor, few enough for their sums to be small compared with the
  // rows.
  const int64_t n = a.n, least = 8, chunk = (n + 1023) / 1024;
  a.chunk = int32_t(chunk > least ? chunk : least);
  const int chunks = int((n + a.chunk - 1) / a.chunk);
  const Scratch partial(size_t(chunks) * 2 * size_t(a.d) * sizeof(float));
  a.partial = partial.data<float>();
  a.vector_weight = aligned({a.weight});
  const bool packs = aligned({a.dy, a.x, a.more, a.dx, a.dropped}) && a.d % kPack<T> == 0;
  if (!packs) a.draws.how = a.draws.how ? 2 : 0;
  if (a.d <= 4096) {
    static const Kernel layer("norm_backward", named<T>("layer_norm_backward")),
        rms("norm_backward", named<T>("rms_norm_backward"));
    const int width = (a.d + 7) / 8;
    a.width = (width + 31) / 32 * 32;
    a.vector = packs; // sums belong to columns: all rows are cut at the same places
    const unsigned threads = a.width > 32 ? unsigned(a.width) : 128;
    launch(centred ? layer : rms, {blocks(chunks, threads / unsigned(a.width))}, {threads}, kTeamShared, a);
  } else {
    static const Kernel layer("norm_backward", named<T>("layer_norm_backward_long")),
        rms("norm_backward", named<T>("rms_norm_backward_long")),
        layer_columns("norm_backward", named<T>("layer_norm_columns")),
        rms_columns("norm_backward", named<T>("rms_norm_columns"));
    a.width = 512;
    a.vector = same_phase({a.dy, a.x, a.more, a.dx, a.dropped});
    if (n) launch(centred ? layer : rms, {unsigned(n)}, {512}, kTeamShared, a);
    launch(centred ? layer_columns : rms_columns, {blocks(a.d, 256), unsigned(chunks)}, {256}, 0, a);
  }
  static const Kernel sums("norm_backward", named<T>("norm_sums"));
  launch(sums, {blocks(int64_t(parts) * a.d, 32)}, {1024}, 32 * 33 * sizeof(float),
         static_cast<const float*>(a.partial), int32_t(chunks), a.d, int32_t(parts), dweight, dbias);
}

template <class T>
NormForward<T> rows_of(const char* op, In input, Opt weight, double eps) {
  NormForward<T> a = {};
  a.x = input.data<T>();
  a.weight = weight.data<T>();
  a.n = input.rows();
  a.d = checked_width(op, input.size(-1));
  a.eps = float(eps);
  return a;
}

template <class T>
NormBackward<T> backward_rows_of(const char* op, In dy, In input, Opt weight, In rstd) {
  NormBackward<T> a = {};
  a.dy = dy.data<T>();
  a.x = input.data<T>();
  a.weight = weight.data<T>();
  a.rstd = rstd.data<float>();
  a.n = input.rows();
  a.d = checked_width(op, input.size(-1));
  return a;
}

} // namespace

template <class T>
void layer_norm(In input, Opt weight, Opt bias, double eps, Out y, Out mean, Out rstd) {
  NormForward<T> a = rows_of<T>("layer_norm", input, weight, eps);
  a.bias = bias.data<T>();
  a.y = y.data<T>();
  a.mean = mean.data<float>();
  a.rstd = rstd.data<float>();
  forward(a, true);
}

template <class T>
void rms_norm(In input, Opt weight, double eps, Out y, Out rstd) {
  NormForward<T> a = rows_of<T>("rms_norm", input, weight, eps);
  a.y = y.data<T>();
  a.rstd = rstd.data<float>();
  forward(a, false);
}

template <class T>
void dropout_add_layer_norm(In input, Opt residual, Opt weight, Opt bias, double p, double eps, int64_t seed,
                            int64_t call, bool keep, Out y, Out sum, Out mean, Out rstd) {
  NormForward<T> a = rows_of<T>("dropout_add_layer_norm", input, weight, eps);
  a.residual = residual.data<T>();
  a.bias = bias.data<T>();
  a.y = y.data<T>();
  a.sum = keep ? sum.data<T>() : nullptr;
  a.mean = mean.data<float>();
  a.rstd = rstd.data<float>();
  a.draws = draws(p, seed, call, true);
  forward(a, true);
}

template <class T>
void layer_norm_backward(In dy, In input, Opt weight, In mean, In rstd, Out dinput, Out dweight, Out dbias) {
  NormBackward<T> a = backward_rows_of<T>("layer_norm_backward", dy, input, weight, rstd);
  a.mean = mean.data<float>();
  a.dx = dinput.data<T>();
  backward(a, dweight.data<T>(), dbias.data<T>());
}

template <class T>
void rms_norm_backward(In dy, In input, Opt weight, In rstd, Out dinput, Out dweight) {
  NormBackward<T> a = backward_rows_of<T>("rms_norm_backward", dy, input, weight, rstd);
  a.dx = dinput.data<T>();
  backward(a, dweight.data<T>(), static_cast<T*>(nullptr));
}

template <class T>
void dropout_add_layer_norm_backward(In dy, Opt dsum, In sum, Opt weight, In mean, In rstd, double p, int64_t seed,
                                     int64_t call, int64_t, int64_t, Out dresidual, Out dinput, Out dweight,
                                     Out dbias) {
  NormBackward<T> a = backward_rows_of<T>("dropout_add_layer_norm_backward", dy, sum, weight, rstd);
  a.mean = mean.data<float>();
  a.more = dsum.data<T>();
  a.dx = dresidual.size(0) == a.n ? dresidual.data<T>() : nullptr;
  a.dropped = dinput.size(0) == a.n ? dinput.data<T>() : nullptr;
  a.draws = draws(p, seed, call, true);
  backward(a, dweight.data<T>(), dbias.data<T>());
}

} // namespace engine::cuda

#define FAMILY norm
#include "cuda/instances.h"
