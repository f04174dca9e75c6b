// PTX text → Module. Loading finds the functions and lays out the module's data; a kernel's body is read when it is
// first asked for, so that a module of many kernels costs what is used of it.
#pragma once
#include <memory>
#include <string>

#include "kernel.h"

namespace cudasim {

// The text is for a newer device.
struct TargetError {
  std::string what;
};

// Throws TargetError, or std::runtime_error with the line of text that cannot be read.
std::unique_ptr<Module> read_module(const char* text, int capability);

// Reads the body if that has not been done. Throws std::runtime_error where it is not PTX; instructions that are not
// known only make the kernel unsupported.
void read_kernel(Kernel&);

} // namespace cudasim
