// The caching arena: memory for arrays and for the kernels' scratch space, taken from the system in large huge-page
// segments and kept. A training step touches no fresh page after the first few.
//
// Small blocks (<= 64 KiB) come from size classes carved out of slabs; larger ones are cut best-fit out of segments and
// joined again with their neighbours when freed. All blocks are aligned to 64 bytes. Thread-safe; usable after fork.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace engine {

struct MemoryStats {
  int64_t allocated_bytes;      // in use by arrays and scratch space, rounded up to block sizes
  int64_t peak_allocated_bytes; // its maximum since the last reset_peak_memory_stats
  int64_t reserved_bytes;       // taken from the system
  int64_t peak_reserved_bytes;
  int64_t allocations; // number of allocate() calls so far
  int64_t segments;    // number of segments held
  int64_t limit_bytes; // 0: none
};

// Raises Error(memory) when the limit or the machine's memory is exceeded. Zero bytes give a valid, aligned pointer.
void* allocate(size_t bytes);
void deallocate(void* data, size_t bytes) noexcept;

MemoryStats memory_stats();
void reset_peak_memory_stats();
void set_memory_limit(int64_t bytes); // 0: none
void empty_cache();                   // gives wholly free segments back to the system

// Guard mode, for tests: every block lies between known bytes and starts as NaNs. guard_errors counts the blocks
// whose guards were overwritten since the last call.
void set_guards(bool on);
int64_t guard_errors();

// A buffer of at least `bytes`, private to the calling thread and the slot, contents undefined; it grows and is kept.
// Slots 0 to 7 let one kernel hold several at once.
void* thread_scratch(int slot, size_t bytes);

} // namespace engine
