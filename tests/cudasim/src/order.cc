// Order between the blocks of a launch: what a block has published, and what the running one knows of.
#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>

#include "checker_state.h"

namespace cudasim {

namespace {

// What a block has published: all its writes before an epoch, and those of each thread up to its fence.
struct Release {
  u32 before;
  std::vector<u32> fences;
};
using Knowledge = std::map<u32, std::shared_ptr<Release>>; // by number of the block in the launch

std::vector<u32> block_starts;               // first epochs
Knowledge known;                             // to the running block
std::unordered_map<u64, Knowledge> known_at; // to whoever does an atomic at this address
bool fenced;                                 // the running block has

} // namespace

void order_launch() {
  block_starts.clear();
  known.clear();
  known_at.clear();
  fenced = false;
}

void order_block(u32 first_epoch) {
  block_starts.push_back(first_epoch);
  known.clear();
  fenced = false;
}

bool published(u32 epoch, u32 thread) {
  const auto after = std::upper_bound(block_starts.begin(), block_starts.end(), epoch);
  if (after == block_starts.begin()) return false;
  const auto it = known.find(u32(after - block_starts.begin()) - 1);
  if (it == known.end()) return false;
  const Release& release = *it->second;
  return epoch < release.before || (thread < release.fences.size() && epoch <= release.fences[thread]);
}

void note_fence(Warp& w, u32 mask) {
  fenced = true;
  for (; mask; mask &= mask - 1) thread_of(w, __builtin_ctz(mask)).fence = now;
}

void note_atomic(const Thread& thread, u64 address) {
  if (!fenced && known_at.empty()) return;
  Knowledge& here = known_at[address];
  for (const auto& [block, release] : here) known[block] = release;
  if (!fenced) return;
  const size_t count = warps.size() * kLanes;
  auto release = std::make_shared<Release>();
  release->before = thread.fence;
  release->fences.resize(count);
  for (size_t t = 0; t < count; ++t) {
    const u32 fence = threads[t].fence;
    if (fence && (fence < now || t == thread.linear)) release->fences[t] = fence;
  }
  known[u32(block_starts.size()) - 1] = release;
  for (const auto& [block, what] : known) here[block] = what;
}

} // namespace cudasim
