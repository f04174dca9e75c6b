// What the families' host code uses: kernels by name and dtype, launches, scratch memory, small tables sent along.
//
//   template <class T>
//   void layer_norm(In input, Opt weight, …, Out y, Out mean, Out rstd) {
//     static const Kernel kernel("norm", named<T>("layer_norm"));
//     launch(kernel, {blocks(rows, 4)}, {128}, 0, input.data<T>(), …, rows, d, float(eps));
//   }
//
// The arguments have exactly the types of the __global__ function's parameters.
#pragma once
#include "core/device.h"
#include "core/errors.h"
#include "core/view.h"
#include "cuda/device/groups.h"
#include "cuda/driver.h"
#include "cuda/faults.h"
#include "cuda/memory.h"

namespace engine::cuda {

using bf16 = BFloat16; // the types that device/groups.h names
using f16 = Float16;

template <class T>
constexpr bool kIsFloat = false; // of the group FLOAT
#define ENGINE_IS_FLOAT(T, suffix) \
  template <>                      \
  constexpr bool kIsFloat<T> = true;
FOR_FLOAT(ENGINE_IS_FLOAT)

struct Extent {
  unsigned x = 1, y = 1, z = 1;
};

template <class... A>
void launch(const Kernel& kernel, Extent grid, Extent block, unsigned shared, A... arguments) {
  if (!grid.x || !grid.y || !grid.z) return; // nothing to do
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  const size_t sizes[] = {sizeof arguments...};
  kernel.launch({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared, pointers, sizes, sizeof...(arguments));
}

// The suffix of kernels of an element type.
template <class T>
constexpr const char* suffix = nullptr;
#define ENGINE_SUFFIX(T, text) \
  template <>                  \
  constexpr const char* suffix<T> = #text;
FOR_ALL(ENGINE_SUFFIX)
template <class T>
std::string named(const char* kernel) {
  return std::string(kernel) + "_" + suffix<T>;
}

// ceil(n / each), as a number of blocks: 2^31 - 1 at most, kernels stride over the rest.
inline unsigned blocks(int64_t n, int64_t each) {
  const int64_t k = (n + each - 1) / each;
  return unsigned(k < 0x7fffffff ? k : 0x7fffffff);
}
// As many blocks as keep the device busy, for kernels that stride over n items: enough of them, or what n needs.
inline unsigned busy_blocks(int64_t n, int64_t each, int blocks_a_multiprocessor = 8) {
  const int64_t most = int64_t(current_device().multiprocessors) * blocks_a_multiprocessor, k = (n + each - 1) / each;
  return unsigned(k < most ? k : most);
}

} // namespace engine::cuda
