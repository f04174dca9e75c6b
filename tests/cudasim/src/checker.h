// The memory and race checker: a shadow of every word of device and shared memory says who wrote and who read it last,
// at which instruction and in which epoch. checker.cc says when two accesses are in order.
#pragma once
#include <vector>

#include "execute.h"
#include "memory.h"
#include "reach.h"

namespace cudasim {

enum class Access : u8 {
  kRead,
  kWrite,
  kAtomic,
  kCopyStart, // of cp.async: from here on its bytes may arrive at any time
};

// ---- the course of a launch ----
void begin_launch(const Kernel& kernel, u32 dynamic_shared);
void begin_block();
void end_block();
void end_launch();
void new_epoch(); // a barrier of the block: all before it is in order with all after it
void new_warp_epoch(Warp&, u32 mask);
void note_fence(Warp&, u32 mask);
void note_atomic(const Thread&, u64 address); // on global memory

// ---- accesses of kernels, inside an allocation or array; findings are reported, nothing is refused ----
// All of device memory or all of shared memory.
void check_warp(Warp&, const Reach&, Access, u32 pc);
void check_lane(Warp&, int lane, u64 address, u32 bytes, Access, u32 pc);
// The bytes of a cp.async are there, for its thread.
void copy_arrived(Warp&, int lane, u64 address, u32 bytes, u32 pc);
// The range of shared memory that the address is in: an array of the running kernel. Size 0: none.
Allocation shared_array(u64 address);

// ---- accesses of the host ----
void host_wrote(const void* p, size_t bytes);
void host_reads(const void* p, size_t bytes, const char* what);
void device_copied(void* to, const void* from, size_t bytes); // carries over what has been written
void assume_all_written();                                    // the checker was off and has not seen what kernels wrote

void reserve_shadow();
void forget_device(const void* p, size_t bytes); // freed

} // namespace cudasim
