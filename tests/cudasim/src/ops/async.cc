// cp.async and its groups. The bytes arrive as late as they may: when the thread waits for their group.
#include <algorithm>
#include <cstring>

#include "../binder.h"
#include "../config.h"
#include "../report.h"
#include "access.h"
#include "arithmetic.h"

namespace cudasim {

namespace {

// in[0], immediate: shared address; in[1], immediate2: global address; in[2]: how many bytes are read, the rest is
// zeros
void copy_async(Warp& w, const Instruction& i, u32 mask) {
  u64 sources[kLanes];
  u32 valid[kLanes];
  u32 whole = 0;
  u32 partly = 0;
  const u64* source = lanes<u64>(w, i.in[1]);
  for (int l = 0; l < kLanes; ++l) {
    sources[l] = source[l] + u64(i.immediate2);
    valid[l] = i.in[2] >= 0 ? std::min<u32>(lanes<u32>(w, i.in[2])[l], i.size) : i.size;
    whole |= u32(valid[l] == i.size) << l;
    partly |= u32(valid[l] > 0 && valid[l] < i.size) << l;
  }
  whole &= mask;
  partly &= mask;
  u32 reading = 0;
  if (whole | partly) {
    const Reach from(sources, whole | partly, i.size);
    require_aligned(w, i, from, Access::kRead);
    if (config.profile) count_access(i, from);
  }
  if (whole) reading = permitted(w, i.source_range, i, Reach(sources, whole, i.size), 0, Access::kRead);
  for (; partly; partly &= partly - 1) { // only so many bytes are read
    const int l = __builtin_ctz(partly);
    if (permitted_lane(w, i.source_range, i, l, sources[l], valid[l], 0, Access::kRead)) reading |= 1u << l;
  }
  const Reach to(w, i, mask, i.size);
  if (config.profile) count_access(i, to);
  u32 writing = permitted(w, i.range, i, to, kShared, Access::kCopyStart);
  for (; writing; writing &= writing - 1) {
    const int l = __builtin_ctz(writing);
    const u32 bytes = reading >> l & 1 ? valid[l] : 0;
    thread_of(w, l).copies.push_back(
        {reinterpret_cast<u8*>(to.at[l]), reinterpret_cast<const u8*>(sources[l]), i.size, bytes, pc_of(i)});
  }
}

void commit_group(Warp& w, const Instruction&, u32 mask) {
  each_lane(mask, [&](int lane) {
    Thread& t = thread_of(w, lane);
    t.group_ends.push_back(u32(t.copies.size()));
  });
}

void finish_copies(Warp& w, int lane, u32 count) {
  Thread& t = thread_of(w, lane);
  for (u32 k = 0; k < count; ++k) {
    const Copy& copy = t.copies[k];
    memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
    memcpy(copy.to, copy.from, copy.valid);
    if (config.check) copy_arrived(w, lane, u64(copy.to), copy.bytes, copy.pc);
  }
  t.copies.erase(t.copies.begin(), t.copies.begin() + count);
}

// immediate: so many groups may remain on their way
void wait_group(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    Thread& t = thread_of(w, lane);
    const size_t remain = size_t(i.immediate);
    if (t.group_ends.size() <= remain) return;
    const size_t groups = t.group_ends.size() - remain;
    const u32 count = t.group_ends[groups - 1];
    finish_copies(w, lane, count);
    t.group_ends.erase(t.group_ends.begin(), t.group_ends.begin() + groups);
    for (u32& end : t.group_ends) end -= count;
  });
}

void wait_all(Warp& w, const Instruction&, u32 mask) {
  each_lane(mask, [&](int lane) {
    finish_copies(w, lane, u32(thread_of(w, lane).copies.size()));
    thread_of(w, lane).group_ends.clear();
  });
}

void bind_copy(Binder& b, Instruction& i, const Opcode& op) {
  if (!op.has("async") || op.has("bulk") || op.has("mbarrier")) b.unknown();
  if (op.has("commit_group")) {
    i.run = commit_group;
  } else if (op.has("wait_all")) {
    i.run = wait_all;
  } else if (op.has("wait_group")) {
    b.need(1);
    i.immediate = parse_integer(b.operands[0]);
    i.run = wait_group;
  } else {
    b.need(3);
    Instruction source;
    b.address(source, b.operands[1], "global");
    b.address(i, b.operands[0], "shared");
    i.in[1] = source.in[0];
    i.immediate2 = source.immediate;
    i.size = u8(parse_integer(b.operands[2]));
    if (b.operands.size() > 3 && !op.has("L2::cache_hint")) i.in[2] = b.input(b.operands[3], 4);
    i.run = copy_async;
  }
}

void fence(Warp& w, const Instruction&, u32 mask) { note_fence(w, mask); }

void bind_fence(Binder&, Instruction& i, const Opcode&) { i.run = fence; }

} // namespace

void register_async(Registry& r) {
  r.add("cp", bind_copy);
  r.add("membar", bind_fence);
  r.add("fence", bind_fence);
}

} // namespace cudasim
