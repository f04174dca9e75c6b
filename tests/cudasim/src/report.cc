#include "report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>
#include <vector>

#include "execute.h"

namespace cudasim {

namespace {

struct Finding {
  std::string kind;
  std::string what;
  std::string kernel;
  std::string at = "[]";
  u32 ptx_line = 0;
  std::string ptx;
  std::string other = "[]";
  u64 count = 1;
};

std::vector<Finding> findings;
std::map<std::tuple<std::string, std::string, u32>, size_t> seen; // kind, kernel, instruction

// Findings that nobody has fetched are printed when the process ends.
struct AtExit {
  ~AtExit() {
    const char* log = getenv("CUDASIM_LOG");
    if (findings.empty() || (log && !strcmp(log, "off"))) return;
    fprintf(stderr, "cudasim: %zu findings nobody asked for:\n%s\n", findings.size(), reports_json().c_str());
  }
} at_exit;

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string formatted(const char* format, va_list arguments) {
  char text[1024];
  vsnprintf(text, sizeof text, format, arguments);
  return text;
}

std::string file_and_line(const Kernel& kernel, const Location& location) {
  const auto& files = kernel.module->files;
  const std::string file = size_t(location.file) < files.size() ? base_name(files[location.file]) : "?";
  return file + ":" + std::to_string(location.line);
}

std::string thread_name(const Thread& thread) {
  char text[128];
  const Dim3& b = block_index;
  const Dim3& t = thread.index;
  snprintf(text, sizeof text, " [block %u,%u,%u thread %u,%u,%u]", b.x, b.y, b.z, t.x, t.y, t.z);
  return text;
}

void place(Finding& finding, const Kernel& kernel, const Origin& origin) {
  finding.kernel = kernel.name;
  finding.at = location_json(kernel, origin.location);
  finding.ptx_line = origin.line;
  finding.ptx = origin.text;
}

} // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u8(c) < 32) {
      char code[8];
      snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string location_json(const Kernel& kernel, int location) {
  constexpr int kMaxDepth = 16;
  std::string out = "[";
  std::string last;
  int depth = 0;
  for (int l = location; l >= 0 && depth < kMaxDepth; l = kernel.locations[l].parent) {
    if (!kernel.locations[l].line) continue;
    const std::string here = file_and_line(kernel, kernel.locations[l]);
    if (here == last) continue;
    out += (depth++ ? "," : "") + quoted(here);
    last = here;
  }
  return out + "]";
}

void report(const char* kind, const Thread* thread, u32 pc, u32 other, const char* format, ...) {
  const auto [known, is_new] = seen.try_emplace({kind, running->name, pc}, findings.size());
  if (!is_new) {
    findings[known->second].count++;
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  Finding finding;
  finding.kind = kind;
  finding.what = formatted(format, arguments) + (thread ? thread_name(*thread) : "");
  va_end(arguments);
  place(finding, *running, running->origins[pc]);
  if (other < running->origins.size()) finding.other = location_json(*running, running->origins[other].location);
  findings.push_back(finding);
}

void report_host(const char* kind, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Finding finding;
  finding.kind = kind;
  finding.what = formatted(format, arguments);
  va_end(arguments);
  findings.push_back(finding);
}

void report_unsupported(const Kernel& kernel, const Origin& origin, const std::string& what) {
  Finding finding;
  finding.kind = "unsupported";
  finding.what = what + "; the kernel cannot be launched";
  place(finding, kernel, origin);
  findings.push_back(finding);
}

size_t report_count() { return findings.size(); }

void clear_reports() {
  findings.clear();
  seen.clear();
}

std::string reports_json() {
  std::string out = "[";
  for (const Finding& f : findings) {
    out += out.size() > 1 ? ",\n " : "\n ";
    out += "{\"kind\":" + quoted(f.kind) + ",\"what\":" + quoted(f.what) + ",\"kernel\":" + quoted(f.kernel);
    out += ",\"at\":" + f.at + ",\"ptx_line\":" + std::to_string(f.ptx_line) + ",\"ptx\":" + quoted(f.ptx);
    out += ",\"other\":" + f.other + ",\"count\":" + std::to_string(f.count) + "}";
  }
  return out + (out.size() > 1 ? "\n]" : "]");
}

namespace {

void add(Counters& sum, const Counters& c) {
  sum.executed += c.executed;
  sum.lanes += c.lanes;
  sum.requests += c.requests;
  sum.sectors += c.sectors;
  sum.bank_conflicts += c.bank_conflicts;
}

std::string fields(const Counters& c) {
  char text[256];
  snprintf(text, sizeof text,
           "\"executed\":%llu,\"lanes\":%llu,\"requests\":%llu,\"sectors\":%llu,\"bank_conflicts\":%llu",
           static_cast<unsigned long long>(c.executed), static_cast<unsigned long long>(c.lanes),
           static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.sectors),
           static_cast<unsigned long long>(c.bank_conflicts));
  return text;
}

// The line of the kernel's own file: that of the outermost function.
std::string source_line(const Kernel& kernel, int location) {
  std::string outermost = "?";
  for (int l = location; l >= 0; l = kernel.locations[l].parent)
    if (kernel.locations[l].line) outermost = file_and_line(kernel, kernel.locations[l]);
  return outermost;
}

} // namespace

std::string counters_json(const Kernel& kernel) {
  Counters total;
  std::map<std::string, Counters> lines;
  std::string instructions;
  for (size_t pc = 0; pc < kernel.counters.size(); ++pc) {
    const Counters& c = kernel.counters[pc];
    if (!c.executed) continue;
    const Origin& origin = kernel.origins[pc];
    add(total, c);
    add(lines[source_line(kernel, origin.location)], c);
    instructions += instructions.empty() ? "\n  " : ",\n  ";
    instructions += "{\"ptx_line\":" + std::to_string(origin.line) + ",\"ptx\":" + quoted(origin.text) +
                    ",\"at\":" + location_json(kernel, origin.location) + "," + fields(c) + "}";
  }
  std::string by_line;
  for (const auto& [line, c] : lines) {
    by_line += by_line.empty() ? "\n  " : ",\n  ";
    by_line += "{\"line\":" + quoted(line) + "," + fields(c) + "}";
  }
  return "{\"kernel\":" + quoted(kernel.name) + ",\"launches\":" + std::to_string(kernel.launches) + "," +
         fields(total) + ",\n \"lines\":[" + by_line + "],\n \"instructions\":[" + instructions + "]}";
}

} // namespace cudasim
