#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>

#include "checker.h"
#include "config.h"

namespace cudasim {

Arena device;
Arena shared;
alignas(256) u8 parameter_buffer[kParameterBytes + 256];

namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kRedZone = 256;      // at least so much after each allocation belongs to none
constexpr size_t kFirstOffset = 4096; // so that a small overrun below the first one stays in the arena

std::map<u64, Allocation> live;
std::map<u64, Allocation> freed; // what was there last, until it is given out again
std::map<size_t, size_t> holes;  // offset and size of free stretches
size_t cursor = kFirstOffset;    // the search for a hole goes on from here, so that freed memory is reused late
size_t given_since_wrap = 0;
constexpr size_t kReuseAfter = size_t(128) << 20; // bytes given out before the search starts at the front again
size_t used_bytes = 0;
u64 generation = 1;

size_t span(size_t bytes) { return (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment + kRedZone; }

std::map<size_t, size_t>::iterator find_hole(size_t bytes) {
  auto fits = [&](const auto& hole) { return hole.second >= bytes; };
  auto from = holes.lower_bound(cursor);
  auto hole = std::find_if(from, holes.end(), fits);
  if (hole != holes.end()) return hole;
  hole = std::find_if(holes.begin(), from, fits);
  return hole == from ? holes.end() : hole;
}

void add_hole(size_t offset, size_t size) {
  auto hole = holes.emplace(offset, size).first;
  if (hole != holes.begin()) {
    auto before = std::prev(hole);
    if (before->first + before->second == offset) {
      before->second += size;
      holes.erase(hole);
      hole = before;
    }
  }
  auto after = std::next(hole);
  if (after != holes.end() && hole->first + hole->second == after->first) {
    hole->second += after->second;
    holes.erase(after);
  }
}

} // namespace

void* reserve(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error("cudasim: cannot reserve memory");
  return p;
}

void release_pages(void* p, size_t bytes) {
  constexpr u64 kPage = 4096;
  constexpr size_t kClearUpTo = size_t(1) << 20;
  u8* from = static_cast<u8*>(p);
  u8* to = from + bytes;
  u8* page = reinterpret_cast<u8*>((u64(from) + kPage - 1) / kPage * kPage);
  u8* end = reinterpret_cast<u8*>(u64(to) / kPage * kPage);
  if (bytes < kClearUpTo || end <= page) { // quicker than new pages
    memset(p, 0, bytes);
    return;
  }
  memset(from, 0, page - from);
  memset(end, 0, to - end);
  madvise(page, end - page, MADV_DONTNEED);
}

void reserve_memory() {
  if (device.base) return;
  device = {static_cast<u8*>(reserve(config.memory)), config.memory};
  shared = {static_cast<u8*>(reserve(kSharedBytes)), kSharedBytes};
  holes[kFirstOffset] = device.size - kFirstOffset;
  reserve_shadow();
}

u8* device_allocate(size_t bytes, State state) {
  if (bytes > device.size) return nullptr;
  const size_t need = span(bytes);
  auto hole = find_hole(need);
  if (hole == holes.end()) return nullptr;
  const size_t offset = hole->first;
  const size_t rest = hole->second - need;
  holes.erase(hole);
  if (rest) holes[offset + need] = rest;
  cursor = offset + need;
  given_since_wrap += need;
  if (given_since_wrap > kReuseAfter) { // or every page of the arena would be touched in the end
    cursor = kFirstOffset;
    given_since_wrap = 0;
  }
  used_bytes += need;
  ++generation;
  u8* p = device.base + offset;
  freed.erase(freed.lower_bound(u64(p)), freed.lower_bound(u64(p) + need));
  live[u64(p)] = {u64(p), bytes, state};
  memset(p, 0xff, bytes); // NaN in every floating-point type
  return p;
}

bool device_free(u8* p) {
  auto it = live.find(u64(p));
  if (it == live.end()) return false;
  const Allocation gone = it->second;
  live.erase(it);
  freed[gone.begin] = gone;
  used_bytes -= span(gone.size);
  ++generation;
  forget_device(p, gone.size);
  constexpr size_t kLarge = size_t(1) << 20;
  if (gone.size >= kLarge) {
    release_pages(p, gone.size);
  } else {
    memset(p, 0xff, gone.size);
  }
  add_hole(device.offset(gone.begin), span(gone.size));
  return true;
}

void device_set_state(u8* p, State state) {
  auto it = live.find(u64(p));
  if (it == live.end()) return;
  it->second.state = state;
  ++generation;
}

const Allocation* find_allocation(u64 address) {
  auto it = live.upper_bound(address);
  return it == live.begin() ? nullptr : &std::prev(it)->second;
}

bool find_freed(u64 address, Allocation* out) {
  auto it = freed.upper_bound(address);
  if (it == freed.begin()) return false;
  *out = std::prev(it)->second;
  return address < out->begin + out->size;
}

bool device_holds(const void* p, size_t bytes) {
  if (!device.has(p)) return false;
  const Allocation* a = find_allocation(u64(p));
  return a && u64(p) + bytes <= a->begin + a->size;
}

void device_usage(size_t* used, size_t* total) {
  *used = used_bytes;
  *total = device.size;
}

u64 memory_generation() { return generation; }

void each_allocation(const std::function<void(const Allocation&)>& visit) {
  for (const auto& [begin, allocation] : live) visit(allocation);
}

} // namespace cudasim
