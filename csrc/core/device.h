// Devices. The CPU is always there; another kind of device is a backend, which its own extension module registers when
// it is first asked for.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <memory>

namespace engine {

struct Kernels;

// How a backend multiplies float32, torch.set_float32_matmul_precision's three. The CPU multiplies in float32 always.
enum class Precision {
  highest, // float32 throughout
  high,    // operands rounded to tf32 (10 bits of mantissa), float32 sums
  medium   // operands rounded to bfloat16, float32 sums
};

constexpr int kCpu = -1; // the device number of the CPU; those of the backend count from 0

// What a backend does. Work is queued in the order of the calls, on one queue a device; all functions but deallocate
// raise Error.
struct Backend {
  const char* name;       // "cuda"
  const Kernels* kernels; // null slots for the dtypes that it does not compute in
  size_t kernels_size;    // sizeof(Kernels): both modules were built from one list
  int (*device_count)();
  void* (*allocate)(int device, size_t bytes);
  void (*deallocate)(int device, void* data, size_t bytes) noexcept;
  void (*enter)(int device); // makes it the device on which this thread's kernels run
  // Memory of the host may be read and written as soon as these return; copy_out waits for the work queued before it.
  void (*copy_in)(int device, void* to, const void* host, size_t bytes);
  void (*copy_out)(int device, void* host, const void* from, size_t bytes);
  void (*copy_across)(int to_device, void* to, int from_device, const void* from, size_t bytes);
  // Pinned memory is the host's, which devices read by themselves: a copy from there is only queued, and `keep` let go
  // of when it has been made.
  void* (*allocate_pinned)(size_t bytes);
  void (*deallocate_pinned)(void* data) noexcept;
  void (*copy_in_pinned)(int device, void* to, const void* pinned, size_t bytes, std::shared_ptr<void> keep);
  // What is queued on `stream` of another library from now on waits for the work queued here so far.
  void (*hand_over)(int device, uintptr_t stream);
  void (*set_matmul_precision)(Precision precision);
};

void register_backend(const Backend* backend); // which is told the precision
bool has_backend();
const Backend& backend(); // raises Error(runtime) where none is registered

// May be set before there is a backend.
Precision matmul_precision();
void set_matmul_precision(Precision precision);

// Memory on a device: the arena's on the CPU.
void* allocate_on(int device, size_t bytes);
void deallocate_on(int device, void* data, size_t bytes) noexcept;

const char* device_text(int device, char (&buffer)[16]); // "cpu", "cuda:0"

} // namespace engine
