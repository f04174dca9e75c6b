// The device's table of kernels: the rows that the families' host files define. float64 stays on the CPU.
#include "cuda/launch.h"
#include "kernels.h"

namespace engine::cuda {
#define KERNEL(name, group, params, signature, contract) \
  template <class T>                                     \
  void name params;
#define ELEMENTWISE(name, group, params, signature, contract) \
  template <class T, class... P>                              \
  void name(P... arguments);
#include "kernels/list.h"

#define ENGINE_SLOT(T, suffix, name) .with<T>(name<T>)

extern const Kernels table;
extern const size_t kTableSize;
const size_t kTableSize = sizeof(Kernels);
constexpr Kernels table = {
#define KERNEL(name, group, params, signature, contract) Slots<void params>() FOR_##group(ENGINE_SLOT, name),
#include "kernels/list.h"
};
} // namespace engine::cuda
