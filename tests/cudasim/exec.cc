// Runs a launch: blocks one after another, the warps of a block in turn, a warp as a list of (pc, mask) fragments of
// which the one with the lowest pc goes first. A .sync operation waits until all member lanes of its mask are there.
#include <algorithm>
#include <cstdio>
#include "sim.h"

namespace sim {
static vector<Warp> warps;
static u32 block_threads, live_threads;
static u64 rng, budget_end;
static u32 rnd() {
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return (u32)(rng >> 32);
}
enum : u8 { RUN, AT_BARRIER, AT_WARP_OP, GO };
static void merge(Warp& w) {
  auto& f = w.fragments;
  for (size_t a = 0; a < f.size(); ++a)
    for (size_t b = a + 1; b < f.size();)
      if (f[a].pc == f[b].pc && f[a].wait == f[b].wait && f[a].bar == f[b].bar) {
        f[a].mask |= f[b].mask;
        f.erase(f.begin() + b);
      } else
        ++b;
}
static u32 predicate(Warp& w, const Ins& i) {
  const u8* p = R<u8>(w, i.pred);
  u32 m = 0;
  for (int l = 0; l < 32; ++l) m |= (u32)(p[l] != 0) << l;
  return i.negated ? ~m : m;
}
// The lanes of m that can execute i now: those whose whole member mask (less exited lanes) is in m. 0: none yet.
static u32 ready(Warp& w, const Ins& i, u32 m) {
  if (i.kind == WARP_ALIGNED) return (m & w.live) == w.live ? m : 0;
  const u32* mask = R<u32>(w, i.s[11]);
  for (u32 left = m; left;) {
    int l = __builtin_ctz(left);
    u32 members = mask[l];
    if (!(members >> l & 1)) {
      report("warp-mask", &threads[w.id * 32 + l], i.site, 0,
             "lane %d executes an operation whose mask %08x does not name it", l, members);
      throw Fault{LAUNCH_FAILED};
    }
    members &= w.live;
    u32 same = 0;
    for (int j = 0; j < 32; ++j)
      if (m >> j & 1 && (mask[j] & w.live) == members) same |= 1u << j;
    if ((same & members) == members) return members;
    left &= ~same;
  }
  return 0;
}
static bool step(Warp& w) { // until every fragment waits or is gone; false: nothing could run
  bool ran = false;
  const Ins* code = running->code.data();
  auto& fr = w.fragments;
  const bool prof = config.profile;
  Counters* counters = const_cast<Kernel*>(running)->counters.data();
  for (;;) {
    int best = -1;
    for (size_t f = 0; f < fr.size(); ++f)
      if (fr[f].wait == RUN && (best < 0 || fr[f].pc < fr[best].pc)) best = (int)f;
    if (best < 0) { // perhaps a warp operation has become complete
      merge(w);
      for (size_t f = 0; f < fr.size() && best < 0; ++f)
        if (fr[f].wait == AT_WARP_OP && ready(w, code[fr[f].pc], fr[f].mask)) best = (int)f;
      if (best < 0) return ran;
      fr[best].wait = RUN;
    }
    ran = true;
    int next_pc = 1 << 30;
    for (size_t f = 0; f < fr.size(); ++f)
      if ((int)f != best && fr[f].wait == RUN) next_pc = std::min(next_pc, fr[f].pc);
    int pc = fr[best].pc;
    u32 m = fr[best].mask;
    u64 steps = 0;
    for (;;) {
      const Ins& i = code[pc];
      if (pc >= next_pc && steps) {
        fr[best].pc = pc;
        merge(w);
        break;
      } // another fragment is here or behind: let it catch up
      ++steps;
      u32 em = i.pred >= 0 ? m & predicate(w, i) : m;
      ++executed;
      if (prof) {
        counters[pc].executed++;
        counters[pc].lanes += __builtin_popcount(em);
      }
      if (i.kind == ALU) {
        if (em) i.fn(w, i, em);
        ++pc;
        continue;
      }
      if (!em) {
        ++pc;
        continue;
      }
      if (i.kind == BRANCH) {
        if (executed > budget_end) {
          report("watchdog", &threads[w.id * 32 + __builtin_ctz(m)], i.site, 0,
                 "more than CUDASIM_BUDGET=%llu warp instructions in one launch: an endless loop, or a wait for "
                 "another block",
                 (unsigned long long)config.budget);
          throw Fault{TIMEOUT};
        }
        if (i.s[0] >= 0) { // brx.idx
          const vector<int>& table = running->tables[i.target];
          fr.erase(fr.begin() + best);
          if (m & ~em) fr.push_back({pc + 1, m & ~em, RUN, 0, 0});
          for (int l = 0; l < 32; ++l)
            if (em >> l & 1) {
              u32 x = R<u32>(w, i.s[0])[l];
              if (x >= table.size()) {
                report("bad-branch", &threads[w.id * 32 + l], i.site, 0, "branch table index %u of %zu", x,
                       table.size());
                throw Fault{LAUNCH_FAILED};
              }
              fr.push_back({table[x], 1u << l, RUN, 0, 0});
            }
          merge(w);
          break;
        }
        if (em == m) {
          pc = i.target;
          continue;
        }
        fr[best] = {pc + 1, m & ~em, RUN, 0, 0};
        fr.push_back({i.target, em, RUN, 0, 0});
        merge(w);
        break;
      }
      if (i.kind == EXIT) {
        w.live &= ~em;
        live_threads -= __builtin_popcount(em);
        if (em == m)
          fr.erase(fr.begin() + best);
        else
          fr[best] = {pc + 1, m & ~em, RUN, 0, 0};
        break;
      }
      if (em != m) {
        fr[best] = {pc + 1, m & ~em, RUN, 0, 0};
        fr.push_back({pc, em, RUN, 0, 0});
        merge(w);
        break;
      } // a guarded barrier or .sync: the others go on
      if (i.kind == BARRIER) {
        int l = __builtin_ctz(m);
        u8 id = (u8)(R<u32>(w, i.s[0])[l] & 15);
        u32 count = i.s[1] >= 0 ? R<u32>(w, i.s[1])[l] : 0;
        fr[best] = {pc, m, AT_BARRIER, id, count};
        merge(w);
        break;
      }
      u32 go = ready(w, i, m);
      if (!go) {
        fr[best] = {pc, m, AT_WARP_OP, 0, 0};
        break;
      }
      i.fn(w, i, go);
      if (go == m) {
        ++pc;
        continue;
      }
      fr[best] = {pc, m & ~go, RUN, 0, 0};
      fr.push_back({pc + 1, go, RUN, 0, 0});
      merge(w);
      break;
    }
  }
}
static bool release_barrier() { // opens every barrier that is complete
  bool any = false;
  const Ins* code = running->code.data();
  for (int id = 0; id < 16; ++id) {
    u32 n = 0, want = 0;
    for (auto& w : warps)
      for (auto& f : w.fragments)
        if (f.wait == AT_BARRIER && f.bar == id) {
          n += __builtin_popcount(f.mask);
          want = std::max(want, f.bar_count);
        }
    if (!n || n < (want ? want : live_threads)) continue;
    any = true;
    new_epoch();
    int pc0 = -1;
    u32 pop = 0, total = 0;
    for (auto& w : warps)
      for (auto& f : w.fragments)
        if (f.wait == AT_BARRIER && f.bar == id) {
          const Ins& i = code[f.pc];
          if (i.s[2] >= 0)
            for (int l = 0; l < 32; ++l)
              if (f.mask >> l & 1) {
                bool p = R<u8>(w, i.s[2])[l];
                pop += p != !!(i.flags & 256);
                ++total;
              }
        }
    for (auto& w : warps) {
      for (auto& f : w.fragments)
        if (f.wait == AT_BARRIER && f.bar == id) {
          const Ins& i = code[f.pc];
          Thread& t = threads[w.id * 32 + __builtin_ctz(f.mask)];
          if (pc0 >= 0 && f.pc != pc0 && !want)
            report("divergent-barrier", &t, i.site, code[pc0].site, "threads of one block wait at different bar.sync");
          pc0 = f.pc;
          if (w.live != w.all && config.check)
            report("exited-lanes", &t, i.site, 0, "lanes %08x of this warp have exited before the barrier",
                   w.all & ~w.live);
          if (i.d[0] >= 0)
            for (int l = 0; l < 32; ++l)
              if (f.mask >> l & 1) {
                if (i.imm == 1)
                  R<u32>(w, i.d[0])[l] = pop;
                else
                  R<u8>(w, i.d[0])[l] = i.imm == 2 ? pop == total : pop != 0;
              }
          f.wait = RUN;
          f.bar = 0;
          f.bar_count = 0;
          f.pc++;
        }
      merge(w);
    }
  }
  return any;
}
static void deadlock() {
  u32 nb = 0, nw = 0;
  const Fragment* at = nullptr;
  Warp* aw = nullptr;
  for (auto& w : warps)
    for (auto& f : w.fragments) {
      (f.wait == AT_BARRIER ? nb : nw) += __builtin_popcount(f.mask);
      if (!at || f.wait == AT_WARP_OP) {
        at = &f;
        aw = &w;
      }
    }
  if (at)
    report("deadlock", &threads[aw->id * 32 + __builtin_ctz(at->mask)], running->code[at->pc].site, 0,
           "%u threads wait at a block barrier, %u at a warp operation, %u have exited", nb, nw,
           block_threads - live_threads);
  throw Fault{LAUNCH_FAILED};
}
static void run_block(vector<int>& order) {
  for (;;) {
    if (config.order == 2)
      for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rnd() % i]);
    bool ran = false;
    for (int w : order) ran |= step(warps[w]);
    if (!live_threads) return;
    ran |= release_barrier();
    if (!ran) deadlock();
  }
}
static vector<u8> registers, local_memory, carry;
int launch(Kernel& k, Dim3 g, Dim3 b, size_t dynamic, const vector<u8>& params) {
  init_memory();
  u32 n = b.x * b.y * b.z, nw = (n + 31) / 32;
  rng = config.seed * 0x9E3779B97F4A7C15ull + 1;
  memset(param_buffer, 0xff, 64);
  memcpy(param_buffer, params.data(), params.size());
  size_t rb = ((size_t)k.reg_bytes + 127) & ~127ull;
  registers.resize(rb * nw + 128);
  local_memory.resize((size_t)k.local * nw * 32 + 64);
  carry.assign(nw * 32, 0);
  u8 *rbase = (u8*)(((uintptr_t)registers.data() + 63) & ~63ull),
     *lbase = (u8*)(((uintptr_t)local_memory.data() + 15) & ~15ull);
  warps.assign(nw, Warp());
  threads.assign(nw * 32, Thread());
  vector<int> order(nw);
  begin_launch(&k, (u32)dynamic);
  budget_end = executed + config.budget;
  for (u32 w = 0; w < nw; ++w) {
    Warp& W = warps[w];
    W.r = rbase + rb * w;
    W.id = w;
    W.carry = &carry[w * 32];
    order[w] = (int)w;
    memset(W.r, 0xff, rb);
    for (auto& c : k.constants) memcpy(W.r + c.first, c.second.data(), c.second.size());
    for (u32 l = 0; l < 32; ++l) {
      u32 t = w * 32 + l;
      W.local[l] = lbase + (size_t)k.local * t;
      Thread& th = threads[t];
      th.linear = t;
      th.lane = l;
      th.warp = w;
      th.tid = {t % b.x, t / b.x % b.y, t / (b.x * b.y)};
      u32 v[] = {th.tid.x,
                 th.tid.y,
                 th.tid.z,
                 b.x,
                 b.y,
                 b.z,
                 0,
                 0,
                 0,
                 g.x,
                 g.y,
                 g.z,
                 l,
                 w,
                 nw,
                 0,
                 1,
                 0,
                 1u << l,
                 (2u << l) - 1,
                 (1u << l) - 1,
                 ~((1u << l) - 1),
                 ~((2u << l) - 1),
                 (u32)dynamic,
                 (u32)dynamic + k.shared_static};
      for (int j = 0; j < n_special; ++j) ((u32*)(W.r + k.special))[j * 32 + l] = v[j];
    }
  }
  if (config.order == 1) std::reverse(order.begin(), order.end());
  int result = OK;
  try {
    for (u32 z = 0; z < g.z; ++z)
      for (u32 y = 0; y < g.y; ++y)
        for (u32 x = 0; x < g.x; ++x) {
          begin_block({x, y, z});
          block_threads = live_threads = n;
          memset(S, 0xff, dynamic);
          memset(S + SHARED_STATIC, 0xff, k.shared_layout);
          for (u32 w = 0; w < nw; ++w) {
            Warp& W = warps[w];
            W.live = W.all = w * 32 + 32 <= n ? ~0u : (1u << (n - w * 32)) - 1;
            W.fragments.assign(1, {0, W.live, RUN, 0, 0});
            u32* sp = (u32*)(W.r + k.special);
            for (int l = 0; l < 32; ++l) {
              sp[6 * 32 + l] = x;
              sp[7 * 32 + l] = y;
              sp[8 * 32 + l] = z;
              Thread& t = threads[w * 32 + l];
              t.warp_epoch = 0;
              t.pending.clear();
              t.groups.clear();
            }
          }
          run_block(order);
        }
  } catch (Fault& f) { result = f.code; }
  end_launch();
  return result;
}
} // namespace sim
