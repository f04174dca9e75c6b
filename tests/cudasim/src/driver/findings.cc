// What only the simulator has: its findings and counters. Each function returns the length of its text without the zero
// at the end; a buffer that is too small, or none, gets nothing, and nothing is cleared.
#include <algorithm>
#include <cstring>

#include "../execute.h"
#include "../report.h"
#include "state.h"

using namespace cudasim;

namespace {

bool give(const std::string& text, char* buffer, size_t capacity) {
  if (!buffer || text.size() >= capacity) return false;
  memcpy(buffer, text.c_str(), text.size() + 1);
  return true;
}

} // namespace

// The findings since the last call, a JSON list of {kind, what, kernel, at, ptx_line, ptx, other, count}.
CUDASIM_EXPORT size_t cudasim_report(char* buffer, size_t capacity) {
  const Call call(Call::kNothing);
  const std::string text = reports_json();
  if (give(text, buffer, capacity)) clear_reports();
  return text.size();
}

// With CUDASIM_PROFILE=1: the counters of a kernel since the last call, as JSON: in all, by line, by instruction. 0: it
// is not loaded.
CUDASIM_EXPORT size_t cudasim_counters(const char* name, char* buffer, size_t capacity) {
  const Call call(Call::kNothing);
  for (CUmodule m : driver.modules) {
    const auto it = m->module->kernels.find(name);
    if (it == m->module->kernels.end()) continue;
    Kernel& kernel = *it->second;
    const std::string text = counters_json(kernel);
    if (give(text, buffer, capacity)) {
      std::fill(kernel.counters.begin(), kernel.counters.end(), Counters());
      kernel.launches = 0;
    }
    return text.size();
  }
  return 0;
}

// Warp instructions since the start of the process.
CUDASIM_EXPORT unsigned long long cudasim_executed() {
  const Call call(Call::kNothing);
  return executed;
}
