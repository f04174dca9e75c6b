#include "cpu/dispatch.h"

#include <stdlib.h>

#include <atomic>

#include "core/errors.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace engine {

#ifdef ENGINE_HAS_BASELINE
namespace baseline {
extern const Kernels table;
}
#endif
#ifdef ENGINE_HAS_NEON
namespace neon {
extern const Kernels table;
}
#endif
#ifdef ENGINE_HAS_AVX2
namespace avx2 {
extern const Kernels table;
}
#endif
#ifdef ENGINE_HAS_AVX512
namespace avx512 {
extern const Kernels table;
}
#endif

namespace {

#if defined(__x86_64__)
// CPUID says what the CPU can do, XGETBV whether the operating system saves the registers.
struct Cpu {
  bool avx2 = false, avx512 = false;
  Cpu() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    bool osxsave = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    if (!osxsave || !fma || !f16c) return;
    unsigned lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    avx2 = (b >> 5 & 1) && (b >> 8 & 1) && (lo & 0x06) == 0x06;
    bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
    avx512 = avx2 && f && dq && bw && vl && (lo & 0xe6) == 0xe6;
  }
};
#endif

std::vector<Isa> compiled() {
  std::vector<Isa> isas;
#if defined(__x86_64__)
  Cpu cpu;
#endif
#ifdef ENGINE_HAS_BASELINE
  isas.push_back({"baseline", &baseline::table, true, "any CPU"});
#endif
#ifdef ENGINE_HAS_NEON
  isas.push_back({"neon", &neon::table, true, "any CPU"});
#endif
#ifdef ENGINE_HAS_AVX2
  isas.push_back({"avx2", &avx2::table, cpu.avx2, "AVX2, FMA, F16C and BMI2, saved by the operating system"});
#endif
#ifdef ENGINE_HAS_AVX512
  isas.push_back({"avx512", &avx512::table, cpu.avx512, "AVX-512 F, BW, DQ and VL, saved by the operating system"});
#endif
  return isas;
}

} // namespace

// Apart from the choice, which may fail: importing the package asks for these.
const std::vector<Isa>& isas() {
  static const std::vector<Isa> instance = compiled();
  return instance;
}

namespace {

struct State {
  std::atomic<const Isa*> active{nullptr};
  std::string reason;
  State() {
    const char* forced = getenv("ENGINE_CPU_ISA");
    if (forced && *forced) {
      choose(forced, "ENGINE_CPU_ISA");
      reason = "named by ENGINE_CPU_ISA";
      return;
    }
    for (const Isa& isa : isas())
      if (isa.supported) active = &isa;
    reason = "the best that this CPU and operating system support";
  }
  void choose(const std::string& name, const char* op) {
    std::string known;
    for (const Isa& isa : isas()) {
      if (name == isa.name) {
        if (!isa.supported)
          throw Error(ErrorKind::value, op, "name", "an ISA that this CPU supports", "'" + name + "'",
                      std::string("it needs ") + isa.needs);
        active = &isa;
        return;
      }
      known += (known.empty() ? "" : ", ") + std::string(isa.name);
    }
    throw Error(ErrorKind::value, op, "name", "one of " + known, "'" + name + "'");
  }
};

State& state() {
  static State instance;
  return instance;
}

} // namespace

const Isa& active_isa() { return *state().active.load(std::memory_order_relaxed); }
const std::string& isa_reason() { return state().reason; }
void set_isa(const std::string& name) {
  state().choose(name, "set_cpu_isa");
  state().reason = "named by set_cpu_isa";
}

} // namespace engine
