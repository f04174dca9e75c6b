// Array: a typed, strided block of memory on a device, and its views. It knows no gradients and does no arithmetic.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/view.h"

namespace engine {

using Shape = std::vector<int64_t>;

struct Storage {
  void* data = nullptr;
  size_t bytes = 0;
  int device = kCpu;
  std::atomic<uint64_t> version{0}; // counts in-place writes, so that autograd notices them
  std::function<void()> release;    // gives memory of another owner back; empty: the arena's or the backend's
  bool readonly = false;            // memory of another owner that must not be written
  bool pinned = false;              // the host's, page-locked for a backend
  Storage() = default;
  // Memory of another owner, which `release` gives back. If this throws, `release` is dropped uncalled with all that it
  // keeps, and the memory never reaches the arena.
  static std::shared_ptr<Storage> foreign(void* data, size_t bytes, int device, std::function<void()> release);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();
};

class Array {
 public:
  // A new contiguous array, contents undefined. Raises on negative sizes, more than 8 dimensions, or no memory.
  static Array empty(const int64_t* shape, int ndim, DType dtype, int device = kCpu);
  static Array empty(const Shape& shape, DType dtype, int device = kCpu) {
    return empty(shape.data(), int(shape.size()), dtype, device);
  }

  DType dtype = DType::f32;
  int ndim = 0;
  int64_t shape[kMaxDims] = {};
  int64_t strides[kMaxDims] = {}; // in elements
  int64_t offset = 0;             // of the first element, in elements
  std::shared_ptr<Storage> storage;

  int device() const { return storage->device; }
  int64_t numel() const;
  bool is_contiguous() const;
  bool overlaps_itself() const; // whether two elements may share memory: such a view is not written to
  void* data() const { return static_cast<char*>(storage->data) + offset * item_size(dtype); }
  View view() const;
  void fill_view(View& v) const;

  // Views: none copies. Each raises Error(value/index) naming itself when the arguments do not fit.
  Array as_strided(const Shape& shape, const Shape& strides, int64_t offset) const;
  Array reshape_view(const Shape& shape) const; // one size may be -1; raises where only a copy could do it
  Array view_as(DType t) const; // the same bytes as elements of t; if they differ in size, so does the last dimension
  bool can_reshape(const Shape& shape) const;
  Array permute(const std::vector<int64_t>& dims) const;
  Array transpose(int64_t a, int64_t b) const;
  Array expand(const Shape& shape) const;                                    // -1 keeps a size
  Array slice(int64_t dim, int64_t start, int64_t stop, int64_t step) const; // Python's rules, step > 0
  Array select(int64_t dim, int64_t index) const;
  Array squeeze(int64_t dim) const;
  Array unsqueeze(int64_t dim) const;
};

std::string shape_text(const int64_t* shape, int ndim); // "(2, 3)"

} // namespace engine
