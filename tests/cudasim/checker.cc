// Arenas, allocation, shadow memory and reports.
//
// Every word of device and shared memory has a shadow record: who wrote and who read it last, at which instruction,
// in which epoch; a word whose bytes are accessed one by one gets four. The epoch moves at every block barrier, block
// start and launch, so two accesses are ordered when their epochs differ (same block) or when they are of one thread,
// or of one warp with a __syncwarp between. Accesses of different blocks of one launch are ordered only by
// __threadfence followed by an atomic that the other block also does.
#include <sys/mman.h>
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include "sim.h"

namespace sim {
Config config;
vector<Site> sites(1);
vector<Loc> locs(1);
vector<string> files(1);
vector<Thread> threads;
Dim3 block_id;
u8 *G, *S;
size_t GSZ;
alignas(256) u8 param_buffer[32768 + 256];
const Kernel* running;
u64 executed;

static void assume_written(); // the checker was off: nobody noted what kernels wrote
void read_config(bool at_init) {
  auto get = [](const char* n) -> const char* {
    const char* v = getenv(n);
    return v && *v ? v : nullptr;
  };
  auto flag = [&](const char* n, bool d) {
    const char* v = get(n);
    return v ? *v != '0' : d;
  };
  Config c, old = config;
  bool check = flag("CUDASIM_CHECK", c.check);
  if (const char* v = get("CUDASIM_ORDER")) c.order = !strcmp(v, "random") ? 2 : !strcmp(v, "reverse");
  if (const char* v = get("CUDASIM_SEED")) c.seed = strtoull(v, nullptr, 0);
  if (const char* v = get("CUDASIM_BUDGET")) c.budget = (u64)strtod(v, nullptr);
  if (const char* v = get("CUDASIM_ASYNC")) c.lazy = !strcmp(v, "lazy");
  c.profile = flag("CUDASIM_PROFILE", false);
  if (at_init) {
    if (const char* v = get("CUDASIM_CAPABILITY")) {
      int a = 8, b = 0;
      sscanf(v, "%d.%d", &a, &b);
      c.capability = a * 10 + b;
    }
    if (const char* v = get("CUDASIM_MEMORY")) c.memory = strtoull(v, nullptr, 0) << 20;
    if (const char* v = get("CUDASIM_DRIVER")) c.driver = atoi(v);
    if (const char* v = get("CUDASIM_DEVICES")) c.devices = atoi(v);
  } else {
    c.capability = old.capability;
    c.memory = old.memory;
    c.devices = old.devices;
    c.driver = old.driver;
  }
  c.check = check;
  config = c;
  if (check && !old.check && !at_init) assume_written();
}

// ------------------------------------------------------------ source positions and reports
u32 add_site(const Kernel* k, const string& text, int ptx_line, int loc) {
  static std::set<string> names; // outlive their module: reports point here
  sites.push_back({names.insert(k->name).first->c_str(), text, ptx_line, loc});
  return (u32)sites.size() - 1;
}
static string quoted(const string& s) {
  string o = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') {
      o += '\\';
      o += c;
    } else if ((u8)c < 32) {
      char b[8];
      snprintf(b, sizeof b, "\\u%04x", c);
      o += b;
    } else
      o += c;
  }
  return o + "\"";
}
static string base_name(const string& f) {
  size_t p = f.rfind('/');
  return p == string::npos ? f : f.substr(p + 1);
}
static string where(u32 site) { // ["innermost.cuh:12","kernels.cu:88"]
  string o = "[";
  string last;
  int n = 0;
  for (int l = site < sites.size() ? sites[site].loc : -1; l > 0 && n < 16; l = locs[l].parent) {
    if (!locs[l].line) continue;
    string f = locs[l].file < (int)files.size() ? base_name(files[locs[l].file]) : "?",
           e = f + ":" + std::to_string(locs[l].line);
    if (e == last) continue;
    o += (n++ ? "," : "") + quoted(e);
    last = e;
  }
  return o + "]";
}
struct Report {
  string kind, what;
  u32 site, other;
  string kernel;
  u64 n;
};
static vector<Report> reports;
static std::map<std::pair<string, u32>, size_t> seen;
void report(const char* kind, const Thread* t, u32 site, u32 other, const char* fmt, ...) {
  auto key = std::make_pair(string(kind), site);
  auto it = site ? seen.find(key) : seen.end();
  if (it != seen.end()) {
    reports[it->second].n++;
    return;
  }
  char b[768];
  va_list ap;
  va_start(ap, fmt);
  int k = vsnprintf(b, 600, fmt, ap);
  va_end(ap);
  k = std::min(k, 599);
  if (t)
    snprintf(b + k, sizeof b - k, " [block %u,%u,%u thread %u,%u,%u]", block_id.x, block_id.y, block_id.z, t->tid.x,
             t->tid.y, t->tid.z);
  seen[key] = reports.size();
  reports.push_back({kind, b, site, other,
                     site && site < sites.size() ? sites[site].kernel
                     : running                   ? running->name.c_str()
                                                 : "",
                     1});
}
size_t report_count() { return reports.size(); }
string reports_json(bool clear) {
  string o = "[";
  for (auto& r : reports) {
    o += o.size() > 1 ? ",\n " : "\n ";
    o += "{\"kind\":" + quoted(r.kind) + ",\"what\":" + quoted(r.what) + ",\"kernel\":" + quoted(r.kernel) +
         ",\"at\":" + where(r.site) + ",\"ptx_line\":" + std::to_string(r.site ? sites[r.site].ptx_line : 0) +
         ",\"ptx\":" + quoted(r.site ? sites[r.site].text : "") + ",\"other\":" + where(r.other) +
         ",\"count\":" + std::to_string(r.n) + "}";
  }
  if (clear) {
    reports.clear();
    seen.clear();
  }
  return o + (o.size() > 1 ? "\n]" : "]");
}

// ------------------------------------------------------------ arenas and allocation (next fit: freed memory is reused
// late)
struct Shadow {
  u32 wep, wpc, rep, rpc;
  u16 wtid, wwe, rtid, rwe;
  u32 split;
}; // wep 0: never written, 1: by the host; split: index of four records
enum : u16 { BY_ATOMIC = 0x2000, PENDING = 0x1000, MULTI = 0x8000, MULTI_WARP = 0x4000, TID = 0x3ff };
static Shadow *Gs, *Ss;
static u8 *Gv, *Sv; // v: 0 invalid, 1 valid, 2 read only
static std::map<size_t, size_t> live, holes, freed;
static size_t cursor, used;
static u32 ep = 2, block_first = 2, launch_first = 2;
struct Bytes {
  Shadow b[4];
};
static vector<Bytes> splits(1);
static vector<u32> free_splits;
static Shadow* split(Shadow& w) { // the four byte records of a word
  if (!w.split) {
    u32 k;
    if (free_splits.empty()) {
      k = (u32)splits.size();
      splits.emplace_back();
    } else {
      k = free_splits.back();
      free_splits.pop_back();
    }
    w.split = 0;
    for (auto& b : splits[k].b) b = w;
    w.split = k;
  }
  return splits[w.split].b;
}
static void set_word(Shadow& w, const Shadow& v) {
  if (w.split) free_splits.push_back(w.split);
  w = v;
  w.split = 0;
}
static void set_bytes(Shadow* arena, size_t o, size_t n, const Shadow& v) {
  for (size_t e = o + n; o < e;)
    if (!(o & 3) && e - o >= 4) {
      set_word(arena[o >> 2], v);
      o += 4;
    } else {
      split(arena[o >> 2])[o & 3] = v;
      ++o;
    }
}
static const Shadow& get_byte(const Shadow* arena, size_t o) {
  const Shadow& w = arena[o >> 2];
  return w.split ? splits[w.split].b[o & 3] : w;
}
static void* reserve(size_t n) {
  void* p = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error("cudasim: cannot reserve memory");
  return p;
}
void init_memory() {
  if (G) return;
  GSZ = config.memory;
  G = (u8*)reserve(GSZ);
  Gs = (Shadow*)reserve(GSZ / 4 * sizeof(Shadow));
  Gv = (u8*)reserve(GSZ);
  S = (u8*)reserve(SSZ);
  Ss = (Shadow*)reserve(SSZ / 4 * sizeof(Shadow));
  Sv = (u8*)reserve(SSZ);
  holes[4096] = GSZ - 4096;
  cursor = 4096;
}
static void release_pages(void* p, size_t n) { // whole pages go back to the system, the rest is cleared
  u8 *a = (u8*)(((uintptr_t)p + 4095) & ~4095ull), *e = (u8*)(((uintptr_t)p + n) & ~4095ull);
  if (n < 65536 || e <= a) {
    memset(p, 0, n);
    return;
  }
  memset(p, 0, a - (u8*)p);
  memset(e, 0, (u8*)p + n - e);
  madvise(a, e - a, MADV_DONTNEED);
}
u8* device_alloc(size_t n, bool valid_now) {
  size_t need = (std::max<size_t>(n, 1) + 255) / 256 * 256 + 256; // a red zone of 256 bytes or more after each
  auto it = holes.lower_bound(cursor);
  auto fits = [&](auto i) { return i->second >= need; };
  while (it != holes.end() && !fits(it)) ++it;
  if (it == holes.end()) {
    it = holes.begin();
    while (it != holes.end() && !fits(it)) ++it;
    if (it == holes.end()) return nullptr;
  }
  size_t o = it->first, rest = it->second - need;
  holes.erase(it);
  if (rest) holes[o + need] = rest;
  freed.erase(freed.lower_bound(o), freed.lower_bound(o + need));
  live[o] = n;
  cursor = o + need;
  used += need;
  memset(G + o, 0xff, n); // NaN in fp32, bf16, fp16, fp64
  if (valid_now) memset(Gv + o, 1, n);
  return G + o;
}
void device_set_valid(u8* p, bool v) {
  auto it = live.find(p - G);
  if (it != live.end()) memset(Gv + it->first, v, it->second);
}
bool device_free(u8* p, bool) {
  auto it = live.find(p - G);
  if (it == live.end()) return false;
  size_t o = it->first, n = it->second, need = (std::max<size_t>(n, 1) + 255) / 256 * 256 + 256;
  live.erase(it);
  freed[o] = n;
  used -= need;
  memset(Gv + o, 0, n);
  memset(G + o, 0xff, std::min<size_t>(n, 65536));
  if (splits.size() > 1 + free_splits.size())
    for (size_t k = o >> 2; k < (o + n + 3) >> 2; ++k)
      if (Gs[k].split) free_splits.push_back(Gs[k].split);
  release_pages(Gs + (o >> 2), (n + 3) / 4 * sizeof(Shadow));
  if (n >= 65536) release_pages(G + o, n);
  auto h = holes.emplace(o, need).first;
  if (h != holes.begin()) {
    auto p0 = std::prev(h);
    if (p0->first + p0->second == o) {
      p0->second += need;
      holes.erase(h);
      h = p0;
    }
  }
  auto nx = std::next(h);
  if (nx != holes.end() && h->first + h->second == nx->first) {
    h->second += nx->second;
    holes.erase(nx);
  }
  return true;
}
static void assume_written() {
  for (auto& a : live)
    for (size_t i = 0; i < (a.second + 3) / 4; ++i) {
      Shadow& w = Gs[(a.first >> 2) + i];
      if (w.split) {
        for (auto& b : splits[w.split].b)
          if (!b.wep) b.wep = 1;
      } else if (!w.wep)
        w.wep = 1;
    }
}
bool device_range(const void* p, size_t n) {
  size_t o = (const u8*)p - G;
  if (o >= GSZ) return false;
  auto it = live.upper_bound(o);
  if (it == live.begin()) return false;
  --it;
  return o + n <= it->first + it->second;
}
void device_usage(size_t* u, size_t* total) {
  *u = used;
  *total = GSZ;
}
void set_access(u8* p, size_t n, bool readonly) { memset(Gv + (p - G), readonly ? 2 : 1, n); }
void host_wrote(void* p, size_t n) {
  size_t o = (u8*)p - G;
  if (o >= GSZ || !config.check) return;
  Shadow w{};
  w.wep = 1;
  set_bytes(Gs, o, n, w);
}
void host_reads(const void* p, size_t n, const char* what) {
  size_t o = (const u8*)p - G;
  if (o >= GSZ || !config.check) return;
  size_t bad = 0, first = 0;
  for (size_t i = 0; i < n;) {
    const Shadow& w = Gs[(o + i) >> 2];
    size_t k = 1;
    if (!((o + i) & 3) && n - i >= 4 && !w.split) k = 4;
    if (!get_byte(Gs, o + i).wep) {
      if (!bad) first = i;
      bad += k;
    }
    i += k;
  }
  if (bad)
    report("uninit-to-host", nullptr, 0, 0, "%s: %zu of %zu bytes were never written, the first at byte %zu", what, bad,
           n, first);
}
void copy_state(void* d, const void* s, size_t n) {
  size_t od = (u8*)d - G, os = (const u8*)s - G;
  if (!config.check || od >= GSZ || os >= GSZ) return;
  for (size_t i = 0; i < n;) {
    size_t k = !((od + i) & 3) && !((os + i) & 3) && n - i >= 4 && !Gs[(os + i) >> 2].split ? 4 : 1;
    Shadow w{};
    w.wep = get_byte(Gs, os + i).wep ? 1 : 0;
    set_bytes(Gs, od + i, k, w);
    i += k;
  }
}

// ------------------------------------------------------------ order between blocks: fence, then an atomic both take
// part in
struct Release {
  u32 before;
  vector<u32> fence;
}; // published: all writes in earlier epochs, and thread t's up to fence[t]
typedef std::map<u32, std::shared_ptr<Release>> Knowledge; // block number → what it published
static vector<u32> block_starts;
static Knowledge known;
static std::unordered_map<const u8*, Knowledge> at_address;
static bool fenced;
void note_fence(Thread& t) {
  t.fence = ep;
  fenced = true;
}
void note_atomic(Thread& t, const u8* p) {
  if (!fenced && at_address.empty()) return;
  auto& a = at_address[p];
  for (auto& k : a) known[k.first] = k.second; // acquire
  if (!fenced) return;
  auto r = std::make_shared<Release>();
  r->before = t.fence;
  r->fence.resize(threads.size());
  for (size_t i = 0; i < threads.size(); ++i)
    if (threads[i].fence && (threads[i].fence < ep || i == t.linear)) r->fence[i] = threads[i].fence;
  u32 me = (u32)block_starts.size() - 1;
  known[me] = r;
  for (auto& k : known) a[k.first] = k.second;
}
static bool published(u32 pe, u32 tid) {
  auto it = std::upper_bound(block_starts.begin(), block_starts.end(), pe);
  if (it == block_starts.begin()) return false;
  auto k = known.find((u32)(it - block_starts.begin()) - 1);
  if (k == known.end()) return false;
  return pe < k->second->before || (tid < k->second->fence.size() && pe <= k->second->fence[tid]);
}

// ------------------------------------------------------------ the check of one access
static inline bool unordered(u32 pe, u16 pt, u16 pwe, const Thread& t, bool global) {
  if (pe == ep) {
    if (pt & MULTI) return true;
    u32 o = pt & TID;
    if (o == t.linear && !(pt & MULTI_WARP)) return false;
    return !((o >> 5) == t.warp && pwe < t.warp_epoch);
  }
  return global && pe < block_first && pe >= launch_first && !published(pe, pt & TID);
}
static inline void check_record(Thread& t, Shadow& h, Access op, u32 site, bool glob, size_t offset) {
  const char* space = glob ? "global" : "shared";
  bool uninit = glob ? h.wep == 0 : h.wep < block_first;
  if (op == READ) {
    if (uninit) {
      report(glob ? "global-uninit" : "shared-uninit", &t, site, 0, "read of %s memory never written (offset %zu)",
             space, offset);
      h.wep = glob ? 1 : block_first;
      h.wtid = 0;
      return;
    }
    if (h.wtid & PENDING && h.wep >= block_first)
      report("cp.async-pending", &t, site, h.wpc, "read of %s bytes whose cp.async has not been waited for", space);
    else if (unordered(h.wep, h.wtid, h.wwe, t, glob))
      report(glob ? "global-race" : "shared-race", &t, site, h.wpc,
             "read after unordered write by thread %u (%s offset %zu)", h.wtid & TID, space, offset);
    u16 me = (u16)t.linear;
    if (h.rep == ep) {
      if ((h.rtid & MULTI) || ((h.rtid & TID) >> 5) != t.warp)
        me |= MULTI;
      else if (h.rwe == t.warp_epoch && ((h.rtid & MULTI_WARP) || (h.rtid & TID) != t.linear))
        me |= MULTI_WARP;
    }
    h.rep = ep;
    h.rtid = me;
    h.rwe = t.warp_epoch;
    h.rpc = site;
    return;
  }
  bool at = op == ATOMIC;
  if (at && uninit)
    report(glob ? "global-uninit" : "shared-uninit", &t, site, 0, "atomic on %s memory never written (offset %zu)",
           space, offset);
  if (op != COPY_DONE) {
    if (!uninit && !(at && (h.wtid & BY_ATOMIC)) && unordered(h.wep, h.wtid & ~BY_ATOMIC, h.wwe, t, glob))
      report(glob ? "global-race" : "shared-race", &t, site, h.wpc,
             "write after unordered write by thread %u (%s offset %zu)", h.wtid & TID, space, offset);
    if ((h.rep >= block_first || glob) && h.rep && unordered(h.rep, h.rtid, h.rwe, t, glob))
      report(glob ? "global-race" : "shared-race", &t, site, h.rpc,
             "write after unordered read by thread %u (%s offset %zu)", h.rtid & TID, space, offset);
  }
  h.wep = ep;
  h.wtid = (u16)(t.linear | (at ? BY_ATOMIC : 0) | (op == COPY_START ? PENDING : 0));
  h.wwe = t.warp_epoch;
  h.wpc = site;
}
static inline bool all_valid(const u8* v, u32 n) {
  for (u32 i = 0; i < n; ++i)
    if (!v[i]) return false;
  return true;
}
bool access(Thread& t, const u8* p, u32 n, Access op, u32 site) {
  size_t o = p - S;
  bool glob = o >= SSZ;
  if (glob && (o = p - G) >= GSZ) {
    if (op == READ && p >= param_buffer && p + n <= param_buffer + sizeof param_buffer) return true;
    report("host-access", &t, site, 0, "%s of %u bytes at %p, which is neither device, shared nor local memory",
           op == READ ? "read" : "write", n, (const void*)p);
    throw Fault{ILLEGAL_ADDRESS};
  }
  if (!config.check) return true;
  const u8* v = (glob ? Gv : Sv) + o;
  u32 word;
  memcpy(&word, v, 4);
  if (!(n == 4 && word == 0x01010101) && !all_valid(v, n))
    for (u32 i = 0; i < n; ++i)
      if (!v[i]) {
        if (!glob) {
          report("shared-oob", &t, site, 0, "%s of %u bytes at shared offset %zu", op == READ ? "read" : "write", n, o);
          return false;
        }
        auto it = live.upper_bound(o + i);
        long d = -1;
        size_t size = 0;
        if (it != live.begin()) {
          --it;
          d = (long)(o - it->first);
          size = it->second;
        }
        auto fr = freed.upper_bound(o + i);
        bool gone = fr != freed.begin() && (--fr, o + i < fr->first + fr->second);
        if (gone)
          report("use-after-free", &t, site, 0, "%s of %u bytes at byte %zu of a freed allocation of %zu bytes",
                 op == READ ? "read" : "write", n, o - fr->first, fr->second);
        else if (d >= 0 && (size_t)d + n <= size)
          report("use-before-alloc", &t, site, 0, "%s of %u bytes before the stream-ordered allocation has happened",
                 op == READ ? "read" : "write", n);
        else
          report("global-oob", &t, site, 0, "%s of %u bytes at byte %ld of an allocation of %zu bytes",
                 op == READ ? "read" : "write", n, d, size);
        return false;
      }
  if (op != READ && *v == 2) {
    report("write-to-const", &t, site, 0, "store into __constant__ memory");
    return false;
  }
  Shadow* s = glob ? Gs : Ss;
  for (u32 i = 0; i < n;) {
    Shadow& w = s[(o + i) >> 2];
    bool whole = !((o + i) & 3) && n - i >= 4;
    if (whole && !w.split) {
      check_record(t, w, op, site, glob, o + i);
      i += 4;
    } else if (whole) {
      for (int k = 0; k < 4; ++k) check_record(t, splits[w.split].b[k], op, site, glob, o + i + k);
      if (op != READ) {
        Shadow v = splits[w.split].b[0];
        set_word(w, v);
      }
      i += 4;
    } else {
      check_record(t, split(w)[(o + i) & 3], op, site, glob, o + i);
      ++i;
    }
  }
  return true;
}
void new_epoch() { ++ep; }
void begin_launch(const Kernel* k, u32 dynamic_bytes) {
  running = k;
  launch_first = ++ep;
  block_starts.clear();
  known.clear();
  at_address.clear();
  fenced = false;
  memset(Sv, 0, SSZ);
  for (auto& a : k->shared_arrays) memset(Sv + SHARED_STATIC + a.first, 1, a.second);
  memset(Sv, 1, dynamic_bytes);
}
void begin_block(Dim3 id) {
  block_id = id;
  block_first = ++ep;
  block_starts.push_back(ep);
  known.clear();
  fenced = false;
  for (auto& t : threads) t.fence = 0;
}
void end_launch() {
  ++ep;
  running = nullptr;
  at_address.clear();
}
} // namespace sim
