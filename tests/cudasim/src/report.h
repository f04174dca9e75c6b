// Findings: what the checker, the parser and the driver have to say, until somebody fetches them.
#pragma once
#include <string>

#include "kernel.h"

namespace cudasim {

struct Thread;

constexpr u32 kNowhere = ~0u;

// A finding at an instruction of the running kernel; other: the earlier access it collides with. The same kind at the
// same instruction is counted, not listed again.
void report(const char* kind, const Thread* thread, u32 pc, u32 other, const char* format, ...)
    __attribute__((format(printf, 5, 6)));
// A finding of the host's doing.
void report_host(const char* kind, const char* format, ...) __attribute__((format(printf, 2, 3)));
// A finding in a kernel that is being read.
void report_unsupported(const Kernel& kernel, const Origin& origin, const std::string& what);

size_t report_count();
std::string reports_json();
void clear_reports();
std::string counters_json(const Kernel& kernel);

std::string quoted(std::string_view text);
// "innermost.cuh:12", "kernels.cu:88": where a line of PTX comes from, inlined functions first, as a JSON list
std::string location_json(const Kernel& kernel, int location);

} // namespace cudasim
