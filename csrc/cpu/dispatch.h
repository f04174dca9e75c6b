// Which ISA runs: the best one that the CPU and the operating system support, or the one that ENGINE_CPU_ISA names.
#pragma once
#include <string>
#include <vector>

namespace engine {

struct Kernels;

struct Isa {
  const char* name;
  const Kernels* kernels;
  bool supported;    // by this CPU and operating system
  const char* needs; // what it takes
};

const std::vector<Isa>& isas(); // compiled in, worst first
const Isa& active_isa();        // raises Error(value) when ENGINE_CPU_ISA names one that cannot run here
void set_isa(const std::string& name);
const std::string& isa_reason(); // why the active one was chosen

} // namespace engine
