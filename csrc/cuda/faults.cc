#include "cuda/faults.h"

#include <stdio.h>
#include <string.h>

#include <deque>
#include <mutex>
#include <string>

#include "core/errors.h"
#include "cuda/driver.h"
#include "cuda/memory.h"

namespace engine::cuda {
namespace {

struct Site {
  const char *op, *argument;
  Wrong wrong;
};
std::mutex lock;
std::deque<Site>& sites() {
  static auto* list = new std::deque<Site>;
  return *list;
}
Fault* records[kMaxDevices];

} // namespace

int fault_site(const char* op, const char* argument, Wrong wrong) {
  std::lock_guard<std::mutex> guard(lock);
  sites().push_back({op, argument, wrong});
  return int(sites().size());
}

Fault* faults() {
  const Device& d = current_device();
  std::lock_guard<std::mutex> guard(lock);
  if (!records[d.number]) {
    CUdeviceptr p;
    check(api().cuMemAlloc(&p, sizeof(Fault)), "cuMemAlloc");
    check(api().cuMemsetD8Async(p, 0, sizeof(Fault), kStream), "cuMemsetD8Async");
    records[d.number] = reinterpret_cast<Fault*>(p);
  }
  return records[d.number];
}

// Why the traceback does not show the op: its kernel ran later.
constexpr const char* kLate = "seen on the device, after the call";

void raise_fault(int device, const Fault& found) {
  if (!found.site) return;
  enter(device);
  fill_bytes(faults(), 0, sizeof(Fault));
  Site site;
  {
    std::lock_guard<std::mutex> guard(lock);
    site = sites().at(size_t(found.site - 1));
  }
  if (site.wrong == Wrong::zero)
    throw Error(ErrorKind::value, site.op, site.argument, "integers other than 0", "0", kLate);
  if (site.wrong == Wrong::probability) {
    double p;
    memcpy(&p, &found.value, sizeof p);
    char text[32];
    snprintf(text, sizeof text, "%g", p);
    throw Error(ErrorKind::value, site.op, site.argument, "probabilities in [0, 1]",
                std::string(text) + " at position " + std::to_string(found.position), kLate);
  }
  const std::string limit = std::to_string(found.limit);
  const std::string expected = site.wrong == Wrong::index  ? "every index in [0, " + limit + ")"
                               : site.wrong == Wrong::ends ? "ends that rise within [0, " + limit + "]"
                                                           : "numbers that rise from 0 to " + limit;
  throw Error(site.wrong == Wrong::index ? ErrorKind::index : ErrorKind::value, site.op, site.argument, expected,
              std::to_string(found.value) + " at position " + std::to_string(found.position), kLate);
}

} // namespace engine::cuda
