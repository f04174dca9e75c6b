// The ISA's table of kernels.
#include "cpu/table.h"

namespace engine::ENGINE_ISA {
extern const Kernels table;
const Kernels table = {
#define KERNEL(family, name, group, params, signature, contract) ENGINE_SLOTS_##group(name),
#include "kernels.def"
#undef KERNEL
};
} // namespace engine::ENGINE_ISA
