// Device memory: a caching allocator a device, and copies between host and device.
//
// Freed blocks are kept and reused. One stream a device orders everything, so that a block may be reused as soon as it
// is freed, while kernels that read it are still queued. ENGINE_CUDA_CACHE=0 turns the cache off: each block is then a
// separate allocation, whose limits a checker sees.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <memory>

namespace engine::cuda {

void* allocate(int device, size_t bytes); // aligned to 512 bytes; raises Error(memory) after the cache was emptied
void deallocate(int device, void* data, size_t bytes) noexcept;

struct MemoryStats {
  int64_t allocated_bytes, peak_allocated_bytes; // in use, rounded up to block sizes
  int64_t reserved_bytes, peak_reserved_bytes;   // taken from the device
  int64_t allocations;                           // calls so far
  int64_t segments;                              // held
  int64_t host_waits;                            // times that the host waited for the device
};
MemoryStats memory_stats(int device);
void reset_peak_memory_stats(int device);
void count_host_wait(int device);
void empty_cache(int device); // gives wholly free segments back

// Page-locked memory of the host, which the device reads by itself. Freed blocks are kept for reuse.
void* allocate_pinned(size_t bytes);
void deallocate_pinned(void* data) noexcept;
void release_pinned(); // gives freed blocks back to the system

void copy_in(int device, void* to, const void* host, size_t bytes);    // staged: the host's memory is free at return
void copy_out(int device, void* host, const void* from, size_t bytes); // waits, and raises faults
// Queued only: `pinned` must not change before the copy has been made; `keep`, which holds it, is let go of then.
void copy_in_pinned(int device, void* to, const void* pinned, size_t bytes, std::shared_ptr<void> keep);
void copy_across(int to_device, void* to, int from_device, const void* from, size_t bytes);
void hand_over(int device, uintptr_t stream); // what is queued there from now on comes after the work queued so far
void fill_bytes(void* to, int value, size_t bytes); // on the current device

// Memory of the current device for the length of a host function: kernels that were launched meanwhile may go on
// using it, since whatever reuses it comes after them.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  Scratch(const void* host, size_t bytes); // filled from the host
  Scratch(const Scratch&) = delete;
  ~Scratch();
  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  int device_;
  void* data_;
  size_t bytes_;
};

} // namespace engine::cuda
