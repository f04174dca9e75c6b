// The table of kernels of one ISA: the rows that the family files define.
#include "cpu/groups.h"
#include "kernels.h"

namespace engine::ENGINE_ISA {
#define KERNEL(name, group, params, signature, contract) \
  template <class T>                                     \
  void name params;
#include "kernels/list.h"

#define ENGINE_SLOT(T, name) .with<T>(name<T>)

extern const Kernels table;
// Constant: no code of an ISA may run when the library is loaded.
constexpr Kernels table = {
#define KERNEL(name, group, params, signature, contract) Slots<void params>() FOR_##group(ENGINE_SLOT, name),
#include "kernels/list.h"
};
} // namespace engine::ENGINE_ISA
