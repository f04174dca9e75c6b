#include "cuda/memory.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/errors.h"
#include "cuda/driver.h"
#include "cuda/faults.h"

namespace engine::cuda {
namespace {

constexpr size_t kAlign = 512;
constexpr size_t kSmall = size_t(1) << 20; // blocks up to this share small segments
constexpr size_t kSmallSegment = size_t(2) << 20;
constexpr size_t kLargeSegment = size_t(32) << 20; // at least; larger blocks get a segment of their size
constexpr size_t kRound = size_t(2) << 20;         // to which those are rounded

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

CUdeviceptr address(const void* p) { return reinterpret_cast<CUdeviceptr>(p); }

// Best fit over address-ordered blocks, joined with free neighbours of their segment.
class Cache {
 public:
  void* allocate(int device, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock_);
    const size_t size = round_up(std::max<size_t>(bytes, 1), kAlign);
    auto found = take_free(size);
    if (found == blocks_.end()) found = add_segment(device, size);
    Block& b = found->second;
    b.free = false;
    split(found, size);
    stats_.allocations++;
    stats_.allocated_bytes += int64_t(b.size);
    stats_.peak_allocated_bytes = std::max(stats_.peak_allocated_bytes, stats_.allocated_bytes);
    return reinterpret_cast<void*>(found->first);
  }

  void deallocate(int device, void* data) noexcept {
    std::lock_guard<std::mutex> guard(lock_);
    auto it = blocks_.find(uintptr_t(data));
    if (it == blocks_.end()) return;
    stats_.allocated_bytes -= int64_t(it->second.size);
    it->second.free = true;
    it = join(it);
    if (caching())
      free_.insert({it->second.size, it->first});
    else
      release(device, it);
  }

  void empty(int device) {
    std::lock_guard<std::mutex> guard(lock_);
    release_free(device);
  }

  MemoryStats stats() {
    std::lock_guard<std::mutex> guard(lock_);
    MemoryStats s = stats_;
    s.host_waits = host_waits;
    return s;
  }
  void reset_peaks() {
    std::lock_guard<std::mutex> guard(lock_);
    stats_.peak_allocated_bytes = stats_.allocated_bytes;
    stats_.peak_reserved_bytes = stats_.reserved_bytes;
  }

  std::atomic<int64_t> host_waits{0};

 private:
  struct Block {
    size_t size;
    uintptr_t segment; // its first address
    size_t segment_size;
    bool free;
  };
  using Blocks = std::map<uintptr_t, Block>;

  static bool caching() {
    static const char* setting = getenv("ENGINE_CUDA_CACHE");
    return !setting || strcmp(setting, "0");
  }
  static bool small(size_t size) { return size <= kSmall; }

  // The smallest free block that fits, small ones out of small segments only.
  Blocks::iterator take_free(size_t size) {
    for (auto it = free_.lower_bound({size, 0}); it != free_.end(); ++it) {
      auto b = blocks_.find(it->second);
      if ((b->second.segment_size == kSmallSegment) != small(size)) continue;
      free_.erase(it);
      return b;
    }
    return blocks_.end();
  }

  Blocks::iterator add_segment(int device, size_t size) {
    size_t wanted = !caching()             ? size
                    : small(size)          ? kSmallSegment
                    : size < kLargeSegment ? kLargeSegment
                                           : round_up(size, kRound);
    enter(device);
    CUdeviceptr p;
    CUresult result = api().cuMemAlloc(&p, wanted);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      release_free(device);
      result = api().cuMemAlloc(&p, wanted);
    }
    if (result == CUDA_ERROR_OUT_OF_MEMORY && wanted > size) result = api().cuMemAlloc(&p, wanted = size);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      size_t available = 0, total = 0;
      api().cuMemGetInfo(&available, &total);
      throw Error(ErrorKind::memory, "allocate", "cuda:" + std::to_string(device),
                  "room for " + std::to_string(size) + " bytes",
                  std::to_string(available) + " free of " + std::to_string(total),
                  "tensors of engine hold " + std::to_string(stats_.allocated_bytes));
    }
    check(result, "cuMemAlloc");
    stats_.segments++;
    stats_.reserved_bytes += int64_t(wanted);
    stats_.peak_reserved_bytes = std::max(stats_.peak_reserved_bytes, stats_.reserved_bytes);
    return blocks_.insert({uintptr_t(p), {wanted, uintptr_t(p), wanted, true}}).first;
  }

  // Makes a free block of the part after `size`, if it is large enough.
  void split(Blocks::iterator it, size_t size) {
    Block& b = it->second;
    if (!caching() || b.size - size < (b.segment_size == kSmallSegment ? kAlign : kSmall)) return;
    const uintptr_t rest = it->first + size;
    blocks_.insert({rest, {b.size - size, b.segment, b.segment_size, true}});
    free_.insert({b.size - size, rest});
    b.size = size;
  }

  Blocks::iterator join(Blocks::iterator it) {
    auto next = std::next(it);
    if (next != blocks_.end() && next->second.free && next->second.segment == it->second.segment) {
      free_.erase({next->second.size, next->first});
      it->second.size += next->second.size;
      blocks_.erase(next);
    }
    if (it != blocks_.begin()) {
      auto before = std::prev(it);
      if (before->second.free && before->second.segment == it->second.segment) {
        free_.erase({before->second.size, before->first});
        before->second.size += it->second.size;
        blocks_.erase(it);
        it = before;
      }
    }
    return it;
  }

  void release(int device, Blocks::iterator it) noexcept {
    // After an error of the driver, or at the process's end, there is nothing left to give back to.
    if (api().cuCtxSetCurrent(cuda::device(device).context) == CUDA_SUCCESS) api().cuMemFree(CUdeviceptr(it->first));
    stats_.segments--;
    stats_.reserved_bytes -= int64_t(it->second.size);
    blocks_.erase(it);
  }

  void release_free(int device) {
    for (auto it = free_.begin(); it != free_.end();) {
      auto b = blocks_.find(it->second);
      if (b->second.size == b->second.segment_size) {
        release(device, b);
        it = free_.erase(it);
      } else {
        ++it;
      }
    }
  }

  std::mutex lock_;
  Blocks blocks_;
  std::set<std::pair<size_t, uintptr_t>> free_; // by size
  MemoryStats stats_ = {};
};

Cache& cache(int device) {
  static auto* caches = new Cache[kMaxDevices]; // never destroyed: arrays may outlive everything
  return caches[device];
}

// Pinned blocks through which copies go: one may be used again when the copy out of it has been made.
class Staging {
 public:
  struct Block {
    void* data;
    size_t size;
    CUevent done;
    bool busy;
  };
  static constexpr size_t kMost = size_t(1) << 20; // larger copies are the driver's to stage

  Block* take(size_t bytes) {
    for (auto& b : blocks_)
      if (b->size >= bytes && (!b->busy || api().cuEventQuery(b->done) == CUDA_SUCCESS)) {
        b->busy = true;
        return b.get();
      }
    size_t size = 4096;
    while (size < bytes) size *= 2;
    auto b = std::make_unique<Block>();
    b->size = size;
    b->busy = true;
    check(api().cuMemHostAlloc(&b->data, size, 0), "cuMemHostAlloc");
    check(api().cuEventCreate(&b->done, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    blocks_.push_back(std::move(b));
    return blocks_.back().get();
  }
  std::mutex lock;

 private:
  std::vector<std::unique_ptr<Block>> blocks_;
};

Staging& staging(int device) {
  static auto* all = new Staging[kMaxDevices];
  return all[device];
}

// Page-locked blocks by size, powers of two: to lock pages takes longer than to copy them.
class Pinned {
 public:
  void* allocate(size_t bytes) {
    size_t size = 4096;
    while (size < bytes) size *= 2;
    std::lock_guard<std::mutex> guard(lock_);
    std::vector<void*>& free = free_[size];
    void* data;
    if (!free.empty()) {
      data = free.back();
      free.pop_back();
    } else {
      check(api().cuMemHostAlloc(&data, size, 0), "cuMemHostAlloc");
    }
    sizes_[data] = size;
    return data;
  }
  void deallocate(void* data) noexcept {
    std::lock_guard<std::mutex> guard(lock_);
    auto it = sizes_.find(data);
    if (it == sizes_.end()) return;
    free_[it->second].push_back(data);
    sizes_.erase(it);
  }
  void release() {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto& [size, blocks] : free_)
      for (void* data : blocks) api().cuMemFreeHost(data);
    free_.clear();
  }

 private:
  std::mutex lock_;
  std::map<size_t, std::vector<void*>> free_;
  std::map<void*, size_t> sizes_; // of those in use
};

Pinned& pinned() {
  static auto* blocks = new Pinned;
  return *blocks;
}

// What queued copies still read: let go of when the event behind the copy has come.
class Pending {
 public:
  void add(std::shared_ptr<void> keep) {
    CUevent done;
    check(api().cuEventCreate(&done, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    check(api().cuEventRecord(done, kStream), "cuEventRecord");
    std::lock_guard<std::mutex> guard(lock_);
    entries_.push_back({done, std::move(keep)});
  }
  void collect() {
    std::vector<std::shared_ptr<void>> over; // destroyed without the lock
    std::lock_guard<std::mutex> guard(lock_);
    size_t n = 0; // copies are made in their order
    while (n < entries_.size() && api().cuEventQuery(entries_[n].done) == CUDA_SUCCESS) {
      api().cuEventDestroy(entries_[n].done);
      over.push_back(std::move(entries_[n++].keep));
    }
    entries_.erase(entries_.begin(), entries_.begin() + n);
  }

 private:
  struct Entry {
    CUevent done;
    std::shared_ptr<void> keep;
  };
  std::mutex lock_;
  std::vector<Entry> entries_;
};

Pending& pending(int device) {
  static auto* all = new Pending[kMaxDevices];
  return all[device];
}

} // namespace

void* allocate(int device, size_t bytes) { return cache(device).allocate(device, bytes); }

void deallocate(int device, void* data, size_t) noexcept {
  if (!forked()) cache(device).deallocate(device, data); // a lock may have been held when the process was forked
}

MemoryStats memory_stats(int device) { return cache(device).stats(); }
void reset_peak_memory_stats(int device) { cache(device).reset_peaks(); }
void count_host_wait(int device) { cache(device).host_waits++; }
void empty_cache(int device) { cache(device).empty(device); }

void* allocate_pinned(size_t bytes) {
  enter(current_device().number);
  return pinned().allocate(bytes);
}

void deallocate_pinned(void* data) noexcept { pinned().deallocate(data); }

void release_pinned() { pinned().release(); }

void copy_in_pinned(int device, void* to, const void* pinned, size_t bytes, std::shared_ptr<void> keep) {
  if (!bytes) return;
  enter(device);
  pending(device).collect();
  check(api().cuMemcpyHtoDAsync(address(to), pinned, bytes, kStream), "cuMemcpyHtoDAsync");
  pending(device).add(std::move(keep));
}

void hand_over(int device, uintptr_t stream) {
  enter(device);
  CUevent done;
  check(api().cuEventCreate(&done, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  check(api().cuEventRecord(done, kStream), "cuEventRecord");
  check(api().cuStreamWaitEvent(reinterpret_cast<CUstream>(stream), done, 0), "cuStreamWaitEvent");
  check(api().cuEventDestroy(done), "cuEventDestroy"); // once it has come
}

void copy_in(int device, void* to, const void* host, size_t bytes) {
  if (!bytes) return;
  enter(device);
  if (bytes > Staging::kMost) {
    count_host_wait(device);
    check(api().cuMemcpyHtoD(address(to), host, bytes), "cuMemcpyHtoD");
    return;
  }
  Staging& s = staging(device);
  std::lock_guard<std::mutex> guard(s.lock);
  Staging::Block* b = s.take(bytes);
  memcpy(b->data, host, bytes);
  check(api().cuMemcpyHtoDAsync(address(to), b->data, bytes, kStream), "cuMemcpyHtoDAsync");
  check(api().cuEventRecord(b->done, kStream), "cuEventRecord");
}

void copy_out(int device, void* host, const void* from, size_t bytes) {
  enter(device);
  count_host_wait(device);
  Fault found;
  Staging& s = staging(device);
  {
    std::lock_guard<std::mutex> guard(s.lock);
    const bool staged = bytes <= Staging::kMost;
    Staging::Block* b = s.take(sizeof found + (staged ? bytes : 0));
    char* data = static_cast<char*>(b->data);
    check(api().cuMemcpyDtoHAsync(data, address(faults()), sizeof found, kStream), "cuMemcpyDtoHAsync");
    if (staged && bytes)
      check(api().cuMemcpyDtoHAsync(data + sizeof found, address(from), bytes, kStream), "cuMemcpyDtoHAsync");
    check(api().cuStreamSynchronize(kStream), "cuStreamSynchronize");
    memcpy(&found, data, sizeof found);
    if (staged && bytes) memcpy(host, data + sizeof found, bytes);
    b->busy = false;
    if (!staged && !found.site) check(api().cuMemcpyDtoH(host, address(from), bytes), "cuMemcpyDtoH");
  }
  pending(device).collect();
  raise_fault(device, found);
}

void copy_across(int to_device, void* to, int from_device, const void* from, size_t bytes) {
  if (!bytes) return;
  if (to_device != from_device) synchronize(from_device);
  enter(to_device);
  check(api().cuMemcpyDtoDAsync(address(to), address(from), bytes, kStream), "cuMemcpyDtoDAsync");
  if (to_device != from_device) synchronize(to_device); // what frees `from` next is ordered by its own device only
}

void fill_bytes(void* to, int value, size_t bytes) {
  if (bytes)
    check(api().cuMemsetD8Async(address(to), static_cast<unsigned char>(value), bytes, kStream), "cuMemsetD8Async");
}

void synchronize(int number) { copy_out(number, nullptr, nullptr, 0); }

Scratch::Scratch(size_t bytes) : device_(current_device().number), data_(allocate(device_, bytes)), bytes_(bytes) {}
Scratch::Scratch(const void* host, size_t bytes) : Scratch(bytes) { copy_in(device_, data_, host, bytes); }
Scratch::~Scratch() { deallocate(device_, data_, bytes_); }

} // namespace engine::cuda
