// The rows of csrc/kernels made into a table of function pointers. Each backend fills one; a backend that lacks a
// kernel does not compile or link.
#pragma once
#include "core/slots.h"

namespace engine {

struct Kernels {
#define KERNEL(name, group, params, signature, contract) Slots<void params> name;
#include "kernels/list.h"
};

} // namespace engine
