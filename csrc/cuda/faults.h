// What kernels find wrong with values that only the device knows: an index out of range, cu_seqlens that fall. A kernel
// notes the first such value in the device's Fault and goes on without touching memory that it should not; the error is
// raised where the host next waits for the device (item(), cpu(), synchronize()), in the name of the op.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace engine::cuda {

struct Fault {
  int32_t site; // 0: none; else what fault_site gave
  int32_t reserved;
  int64_t position, value, limit;
};

enum class Wrong {
  index,       // "expected every index in [0, limit), got value at position"
  cu_seqlens,  // "expected numbers that rise from 0 to limit, got value at position"
  ends,        // "expected ends that rise within [0, limit], got value at position"
  probability, // "expected probabilities in [0, 1], got value (the bits of a double) at position"
  zero         // "expected integers other than 0, got 0"
};

// The number under which kernels report an argument; the texts must be literals. Make it static.
int fault_site(const char* op, const char* argument, Wrong wrong);

Fault* faults(); // of the current device, in its memory

// Raises Error if `found`, copied from the device, holds a fault; the device's is then cleared.
void raise_fault(int device, const Fault& found);

} // namespace engine::cuda
