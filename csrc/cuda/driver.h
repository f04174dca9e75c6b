// The way to the device: the driver's library, opened at run time; its devices; kernels fetched by name.
//
// Nothing of CUDA is linked. ENGINE_CUDA_DRIVER names the library (libcuda.so.1 where it is not set), ENGINE_CUDA_IMAGE
// (cubin or ptx) restricts which of the embedded images are tried.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "cuda/driver_api.h"

namespace engine::cuda {

constexpr int kMaxDevices = 16;

struct Api {
#define ENGINE_MEMBER(member, symbol, params) CUresult(*member) params = nullptr;
  CUDA_DRIVER_API(ENGINE_MEMBER, ENGINE_MEMBER)
#undef ENGINE_MEMBER
};

const Api& api(); // opens the library once; raises Error(runtime) with the reason where that fails
// Raises Error naming `what` unless the call succeeded: of kind memory where the device's is exhausted.
void check(CUresult result, const char* what);

struct Device {
  int number = 0;
  CUdevice handle = 0;
  CUcontext context = nullptr; // the primary one, which other libraries share
  std::string name;
  int major = 0, minor = 0; // compute capability
  int multiprocessors = 0;
  size_t memory = 0;
};

int device_count();                 // 0 if there is no driver or no device
const std::string& why_no_device(); // what device_count() found missing
const Device& device(int number);   // initialised at first use
int driver_version();               // 13000 is CUDA 13.0; what the driver supports
std::string library();              // that was opened

// The embedded images, for those who look at what was built.
struct ImageText {
  const char *family, *kind; // kind: ptx or cubin
  int capability;
  const unsigned char* data;
  size_t bytes;
};
ImageText image(size_t number); // packed; null family: there are no more

// Images are packed by zlib, which Python has: this is how to unpack one. May be called by any thread.
extern std::string (*unpack_image)(const unsigned char* data, size_t bytes);

// All work goes to the device's legacy default stream, as PyTorch's does: arrays can change hands without events.
constexpr CUstream kStream = nullptr;

void enter(int number);         // makes its context current and its kernels the ones that launch
bool forked();                  // whether this process is a child of the one that opened the driver: CUDA is not for it
const Device& current_device(); // of this thread, as entered last
void synchronize(int number);   // waits for all work; raises what kernels found wrong (faults.h)

// A kernel of a family's image: fetched from the device's module when it is first launched. Make it static.
class Kernel {
 public:
  Kernel(const char* family, std::string name) : family_(family), name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  // Sizes of the arguments are compared with the kernel's own list, where the driver can tell it (12.4 and later).
  void launch(const unsigned (&grid)[3], const unsigned (&block)[3], unsigned shared, void** arguments,
              const size_t* sizes, size_t count) const;

 private:
  CUfunction function(unsigned shared, const size_t* sizes, size_t count) const;
  const char* family_;
  std::string name_;
  mutable CUfunction functions_[kMaxDevices] = {};
  mutable unsigned shared_[kMaxDevices] = {}; // the dynamic shared memory that it was set to allow
};

} // namespace engine::cuda
