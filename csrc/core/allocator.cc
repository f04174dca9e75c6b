#include "core/allocator.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/errors.h"

namespace engine {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kSmallLimit = 64 << 10; // the largest block that comes from a size class
constexpr size_t kSlab = 1 << 20;        // small blocks are carved out of slabs of this size
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kSegment = 32 << 20;   // the least that is asked of the system at once
constexpr size_t kLargeAlign = 4 << 10; // large blocks are multiples of a page: neighbours never share one

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Four classes a doubling, each a multiple of 64: at most 25 % is lost to rounding.
size_t small_class_bytes(size_t bytes) {
  if (bytes <= 4 * kAlign) return std::max(round_up(bytes, kAlign), kAlign);
  size_t step = kAlign;
  while (bytes > 8 * step) step *= 2;
  return round_up(bytes, step);
}

// Bytes that this process may fill: the machine's, or its container's limit.
size_t machine_memory() {
  static const size_t bytes = [] {
    size_t all = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
      std::ifstream file(path);
      size_t limit;
      if (file >> limit) all = std::min(all, limit);
    }
    return all;
  }();
  return bytes;
}

std::string most_memory() {
  rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < machine_memory())
    return std::to_string(limit.rlim_cur) + " bytes that RLIMIT_AS (ulimit -v) allows the process";
  return std::to_string(machine_memory()) + " bytes of the machine";
}

struct Block {
  size_t bytes;
  bool free;
  char* segment; // the block's segment: neighbours join within it only
};

class Arena {
 public:
  void* allocate(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    size_t rounded = block_bytes(bytes);
    if (limit_ && stats_.allocated_bytes + int64_t(rounded) > limit_)
      throw Error(ErrorKind::memory, "allocate", "bytes",
                  "at most the memory limit of " + std::to_string(limit_) + " bytes in all",
                  std::to_string(bytes) + " bytes beside the " + std::to_string(stats_.allocated_bytes) + " in use");
    void* data = rounded <= kSmallLimit ? take_small(rounded) : take_large(rounded);
    stats_.allocated_bytes += rounded;
    stats_.peak_allocated_bytes = std::max(stats_.peak_allocated_bytes, stats_.allocated_bytes);
    stats_.allocations++;
    return data;
  }

  void deallocate(void* data, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    size_t rounded = block_bytes(bytes);
    stats_.allocated_bytes -= rounded;
    try {
      if (rounded <= kSmallLimit)
        small_[rounded].push_back(data);
      else
        give_large(static_cast<char*>(data));
    } catch (const std::bad_alloc&) { // no memory to note it: the block is not used again. A destructor must not throw.
    }
  }

  MemoryStats stats() {
    std::lock_guard<std::mutex> lock(mutex_);
    MemoryStats s = stats_;
    s.segments = segments_.size();
    s.limit_bytes = limit_;
    return s;
  }

  void reset_peak() {
    std::lock_guard<std::mutex> lock(mutex_);
    stats_.peak_allocated_bytes = stats_.allocated_bytes;
    stats_.peak_reserved_bytes = stats_.reserved_bytes;
  }

  void set_limit(int64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    limit_ = bytes;
  }

  void empty_cache() {
    std::lock_guard<std::mutex> lock(mutex_);
    release_free_segments();
  }

  std::mutex& mutex() { return mutex_; }

 private:
  static size_t block_bytes(size_t bytes) {
    return bytes <= kSmallLimit ? small_class_bytes(bytes) : round_up(bytes, kLargeAlign);
  }

  void* take_small(size_t bytes) {
    std::vector<void*>& list = small_[bytes];
    if (list.empty()) {
      if (slab_left_ < bytes) {
        // What is left of the old slab still serves smaller classes.
        for (size_t piece = kAlign; slab_left_ >= kAlign; slab_ += piece, slab_left_ -= piece)
          small_[piece].push_back(slab_);
        slab_ = static_cast<char*>(take_large(kSlab));
        slab_left_ = kSlab;
      }
      list.push_back(slab_);
      slab_ += bytes;
      slab_left_ -= bytes;
    }
    void* data = list.back();
    list.pop_back();
    return data;
  }

  void* take_large(size_t bytes) {
    auto fit = free_.lower_bound({bytes, nullptr});
    if (fit == free_.end()) {
      add_segment(bytes);
      fit = free_.lower_bound({bytes, nullptr});
    }
    char* data = fit->second;
    Block& block = blocks_.at(data);
    if (block.bytes > bytes) {
      char* rest = data + bytes;
      free_.insert({block.bytes - bytes, rest});
      try {
        blocks_.emplace(rest, Block{block.bytes - bytes, true, block.segment});
      } catch (...) {
        free_.erase({block.bytes - bytes, rest});
        throw;
      }
      block.bytes = bytes;
    }
    block.free = false;
    free_.erase(fit);
    return data;
  }

  void give_large(char* data) {
    auto block = blocks_.find(data);
    auto next = std::next(block);
    if (next != blocks_.end() && next->second.free && next->second.segment == block->second.segment) {
      free_.erase({next->second.bytes, next->first});
      block->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    if (block != blocks_.begin()) {
      auto previous = std::prev(block);
      if (previous->second.free && previous->second.segment == block->second.segment) {
        free_.erase({previous->second.bytes, previous->first});
        previous->second.bytes += block->second.bytes;
        blocks_.erase(block);
        block = previous;
      }
    }
    block->second.free = true;
    free_.insert({block->second.bytes, block->first});
  }

  void add_segment(size_t bytes) {
    size_t size = round_up(std::max(bytes, kSegment), kHugePage);
    char* data = map_within_memory(size);
    if (!data) { // give back what is cached and try once more
      release_free_segments();
      data = map_within_memory(size);
    }
    if (!data)
      throw Error(ErrorKind::memory, "allocate", "bytes", "at most the " + most_memory() + " in all",
                  std::to_string(size) + " bytes beside the " + std::to_string(stats_.reserved_bytes) + " in use");
    try {
      segments_[data] = size;
      blocks_.emplace(data, Block{size, true, data});
      free_.insert({size, data});
    } catch (...) {
      segments_.erase(data);
      blocks_.erase(data);
      munmap(data, size);
      throw;
    }
    stats_.reserved_bytes += size;
    stats_.peak_reserved_bytes = std::max(stats_.peak_reserved_bytes, stats_.reserved_bytes);
  }

  // The system would map more than it has, and end the process once that is written to.
  char* map_within_memory(size_t size) {
    return size > machine_memory() - std::min(machine_memory(), size_t(stats_.reserved_bytes)) ? nullptr
                                                                                               : map_aligned(size);
  }

  static char* map_aligned(size_t size) {
    if (size + kHugePage < size) return nullptr;
    void* raw =
        mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    uintptr_t start = uintptr_t(raw), aligned = round_up(start, kHugePage);
    if (aligned > start) munmap(raw, aligned - start);
    size_t tail = start + kHugePage - aligned;
    if (tail) munmap(reinterpret_cast<void*>(aligned + size), tail);
#ifdef MADV_HUGEPAGE
    madvise(reinterpret_cast<void*>(aligned), size, MADV_HUGEPAGE); // a hint: its failure changes nothing
#endif
    return reinterpret_cast<char*>(aligned);
  }

  void release_free_segments() {
    for (auto segment = segments_.begin(); segment != segments_.end();) {
      auto block = blocks_.find(segment->first);
      if (block->second.free && block->second.bytes == segment->second) {
        free_.erase({segment->second, segment->first});
        blocks_.erase(block);
        munmap(segment->first, segment->second);
        stats_.reserved_bytes -= segment->second;
        segment = segments_.erase(segment);
      } else {
        ++segment;
      }
    }
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> small_; // free small blocks by class
  char* slab_ = nullptr;
  size_t slab_left_ = 0;
  std::map<char*, Block> blocks_;           // every large block, free or not, by address
  std::set<std::pair<size_t, char*>> free_; // the free ones by size: best fit, lowest address first
  std::map<char*, size_t> segments_;
  MemoryStats stats_{};
  int64_t limit_ = 0;
};

// Never destroyed: arrays may outlive static destruction at interpreter exit.
Arena& arena() {
  static Arena* instance = [] {
    auto* made = new Arena;
    pthread_atfork([] { arena().mutex().lock(); }, [] { arena().mutex().unlock(); }, [] { arena().mutex().unlock(); });
    return made;
  }();
  return *instance;
}

struct Scratch {
  void* data[8] = {};
  size_t bytes[8] = {};
  ~Scratch() {
    for (int i = 0; i < 8; i++)
      if (data[i]) deallocate(data[i], bytes[i]);
  }
};

} // namespace

// ---- guard mode, for tests: each block lies between known bytes and starts as NaNs

namespace {

// A NaN as float and as double that no arithmetic makes: reads and writes past an end become visible.
constexpr size_t kGuard = 64;
constexpr unsigned char kGuardBytes[4] = {0x5A, 0xA5, 0xFD, 0x7F};

struct Guards {
  std::mutex mutex;
  std::unordered_map<char*, size_t> blocks; // of allocations made while on
  std::atomic<bool> any{false}, on{false};
  int64_t errors = 0;

  static void write(char* data, size_t bytes) {
    for (size_t i = 0; i < kGuard; i++) {
      data[ptrdiff_t(i) - ptrdiff_t(kGuard)] = char(kGuardBytes[i % 4]);
      data[bytes + i] = char(kGuardBytes[i % 4]);
    }
  }
  static bool intact(const char* data, size_t bytes) {
    for (size_t i = 0; i < kGuard; i++)
      if (data[ptrdiff_t(i) - ptrdiff_t(kGuard)] != char(kGuardBytes[i % 4]) ||
          data[bytes + i] != char(kGuardBytes[i % 4]))
        return false;
    return true;
  }
};

Guards& guards() {
  static auto* instance = new Guards;
  return *instance;
}

} // namespace

void set_guards(bool on) { guards().on = on; }

int64_t guard_errors() {
  std::lock_guard<std::mutex> lock(guards().mutex);
  int64_t live = 0;
  for (auto& [data, bytes] : guards().blocks) live += !Guards::intact(data, bytes);
  int64_t found = guards().errors + live;
  guards().errors = -live; // those still living are reported once
  return found;
}

void* allocate(size_t bytes) {
  if (!guards().on) return arena().allocate(bytes);
  char* data = static_cast<char*>(arena().allocate(bytes + 2 * kGuard)) + kGuard;
  memset(data, 0xFF, bytes);
  Guards::write(data, bytes);
  std::lock_guard<std::mutex> lock(guards().mutex);
  guards().blocks[data] = bytes;
  guards().any = true;
  return data;
}

void deallocate(void* data, size_t bytes) noexcept {
  if (guards().any) {
    std::lock_guard<std::mutex> lock(guards().mutex);
    auto block = guards().blocks.find(static_cast<char*>(data));
    if (block != guards().blocks.end()) {
      guards().errors += !Guards::intact(block->first, bytes);
      guards().blocks.erase(block);
      return arena().deallocate(static_cast<char*>(data) - kGuard, bytes + 2 * kGuard);
    }
  }
  arena().deallocate(data, bytes);
}
MemoryStats memory_stats() { return arena().stats(); }
void reset_peak_memory_stats() { arena().reset_peak(); }
void set_memory_limit(int64_t bytes) { arena().set_limit(bytes); }
void empty_cache() { arena().empty_cache(); }

void* thread_scratch(int slot, size_t bytes) {
  static thread_local Scratch scratch;
  const bool small = scratch.bytes[slot] < bytes || (guards().on && scratch.bytes[slot] != bytes);
  if (small || !scratch.data[slot]) {
    void* data = allocate(bytes);
    if (scratch.data[slot]) deallocate(scratch.data[slot], scratch.bytes[slot]);
    scratch.data[slot] = data;
    scratch.bytes[slot] = bytes;
  }
  return scratch.data[slot];
}

} // namespace engine
