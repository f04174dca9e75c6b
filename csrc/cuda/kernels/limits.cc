// What the device can do at most: launches.
#include <vector>

#include "cuda/kernels/rows.h"

namespace engine::cuda {

// A chunk is a block of 256 threads with 8 chains each: of fma, or of bf16 m16n8k16 products a warp.
template <class T>
void fma_peak(int64_t n, int64_t iterations, Out y, Out rate) {
  static const Kernel kernel("limits", named<T>("fma_peak"));
  const int64_t operations = sizeof(T) == 4 ? 2 * 8 * 256 : 2 * 8 * 8 * 16 * 8 * 16;
  const unsigned grid = n ? blocks(n, 1) : 1; // the rate is asked for even with no chunks
  launch(kernel, {grid}, {256}, kTeamShared, n, iterations, y.data<T>(), rate.data<int64_t>(), operations);
}

template <class T>
void stream(InList reads, InOutList writes) {
  static const Kernel kernel("limits", named<T>("stream"));
  if (reads.count == 0) throw Error(ErrorKind::value, "stream", "reads", "at least one array", "none");
  const int64_t n = numel(reads[0]);
  std::vector<void*> arrays;
  bool vector = true;
  for (int64_t t = 0; t < reads.count + writes.count; t++) {
    const bool read = t < reads.count;
    const View& view = read ? reads[t] : writes[t - reads.count];
    if (numel(view) != n)
      throw Error(ErrorKind::value, "stream",
                  (read ? "reads[" : "writes[") + std::to_string(read ? t : t - reads.count) + "]",
                  std::to_string(n) + " elements", std::to_string(numel(view)));
    arrays.push_back(view.data);
    vector = vector && aligned({view.data});
  }
  const Scratch table(arrays.data(), arrays.size() * sizeof(void*));
  launch(kernel, {busy_blocks(n, 256 * kPack<T>)}, {256}, 0, static_cast<T* const*>(table.data<T*>()),
         int32_t(reads.count), int32_t(writes.count), n, vector);
}

} // namespace engine::cuda

#define FAMILY limits
#include "cuda/instances.h"
