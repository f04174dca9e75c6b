// Softmaxes: launches.
#include "cuda/kernels/rows.h"

namespace engine::cuda {
namespace {

template <class T>
void forward(const char* op, In input, Out y, SoftmaxKind kind) {
  static const Kernel held("softmax", named<T>("softmax")), longer("softmax", named<T>("softmax_long"));
  const int64_t n = input.rows();
  const int d = checked_width(op, input.size(-1));
  const Teams t = teams<T>(d, 40 / kPack<T>, 1, 768);
  const T* x = input.data<T>();
  const bool vector = kind == kLogSumExp || same_phase({x, y.data<T>()});
  launch(t.held ? held : longer, {blocks(n, t.rows)}, {t.threads}, kTeamShared, x, y.data<T>(), n, int32_t(d),
         int32_t(t.width), vector, int32_t(kind));
}

template <class T>
void backward(const char* op, In dy, In y, Out dinput, bool log) {
  static const Kernel held("softmax", named<T>("softmax_backward")),
      longer("softmax", named<T>("softmax_long_backward"));
  const int64_t n = y.rows();
  const int d = checked_width(op, y.size(-1));
  const Teams t = teams<T>(d, 16 / kPack<T>);
  const bool vector = same_phase({dy.data<T>(), y.data<T>(), dinput.data<T>()});
  launch(t.held ? held : longer, {blocks(n, t.rows)}, {t.threads}, kTeamShared, dy.data<T>(), y.data<T>(),
         dinput.data<T>(), n, int32_t(d), int32_t(t.width), vector, log);
}

} // namespace

template <class T>
void softmax(In input, Out y) {
  forward<T>("softmax", input, y, kSoftmax);
}
template <class T>
void log_softmax(In input, Out y) {
  forward<T>("log_softmax", input, y, kLogSoftmax);
}
template <class T>
void logsumexp(In input, Out y) {
  forward<T>("logsumexp", input, y, kLogSumExp);
}
template <class T>
void softmax_backward(In dy, In y, Out dinput) {
  backward<T>("softmax_backward", dy, y, dinput, false);
}
template <class T>
void log_softmax_backward(In dy, In y, Out dinput) {
  backward<T>("log_softmax_backward", dy, y, dinput, true);
}

template <class T>
void logsumexp_backward(In dy, In input, In y, Out dinput) {
  static const Kernel kernel("softmax", named<T>("logsumexp_backward"));
  const int64_t n = input.rows();
  const int d = checked_width("logsumexp_backward", input.size(-1));
  const Teams t = teams<T>(d, 32 / kPack<T>);
  const bool vector = same_phase({input.data<T>(), dinput.data<T>()});
  launch(kernel, {blocks(n, t.rows)}, {t.threads}, kTeamShared, dy.data<T>(), input.data<T>(), y.data<T>(),
         dinput.data<T>(), n, int32_t(d), int32_t(t.width), vector);
}

} // namespace engine::cuda

#define FAMILY softmax
#include "cuda/instances.h"
