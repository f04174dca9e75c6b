#include "cuda/precision.h"

#include <atomic>

namespace engine::cuda {

static std::atomic<Precision> current{Precision::highest};

Precision matmul_precision() { return current.load(std::memory_order_relaxed); }
void set_matmul_precision(Precision precision) { current = precision; }

} // namespace engine::cuda
