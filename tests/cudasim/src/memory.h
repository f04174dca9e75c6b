// The memory of the simulated device: one arena of host memory for allocations, one for the shared memory of the
// running block. Device pointers are real pointers into them, so that an address of any other kind is recognised.
#pragma once
#include <functional>

#include "types.h"

namespace cudasim {

struct Arena {
  u8* base = nullptr;
  size_t size = 0;
  bool has(u64 address) const { return address - u64(base) < size; }
  bool has(const void* p) const { return has(u64(p)); }
  size_t offset(u64 address) const { return address - u64(base); }
};

extern Arena device;
extern Arena shared;

// Shared memory: the dynamic array begins at 0, the static ones at kSharedStatic.
constexpr size_t kSharedStatic = 256 * 1024;
constexpr size_t kSharedBytes = 2 * kSharedStatic;
// Parameters of the running kernel.
constexpr size_t kParameterBytes = 32768;
extern u8 parameter_buffer[kParameterBytes + 256];

enum class State : u8 {
  kReady,
  kAnnounced, // by cuMemAllocAsync, whose turn in its stream has not come
  kConstant,  // __constant__: kernels may not write it
};

struct Allocation {
  u64 begin;
  size_t size;
  State state;
};

void* reserve(size_t bytes);               // address space, zero; pages come as they are touched
void release_pages(void* p, size_t bytes); // makes it zero again
void reserve_memory();
u8* device_allocate(size_t bytes, State state); // nullptr: no room
bool device_free(u8* p);                        // false: not the start of an allocation
void device_set_state(u8* p, State state);
const Allocation* find_allocation(u64 address); // the live one that the address is in, or begins closest below it
bool find_freed(u64 address, Allocation* freed);
bool device_holds(const void* p, size_t bytes); // wholly inside one live allocation
void device_usage(size_t* used, size_t* total);
u64 memory_generation(); // another number after every change
void each_allocation(const std::function<void(const Allocation&)>& visit);

} // namespace cudasim
