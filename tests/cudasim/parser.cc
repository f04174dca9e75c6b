// PTX text → Module: module-level data, kernels, registers, labels, source positions.
#include "parser.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace sim {
string trim(const string& s) {
  size_t a = s.find_first_not_of(" \t\r\n"), b = s.find_last_not_of(" \t\r\n");
  return a == string::npos ? "" : s.substr(a, b - a + 1);
}
vector<string> split(const string& s) { // at commas outside braces, brackets and parentheses
  vector<string> o;
  int depth = 0;
  string c;
  for (char ch : s) {
    depth += ch == '{' || ch == '[' || ch == '(';
    depth -= ch == '}' || ch == ']' || ch == ')';
    if (ch == ',' && !depth) {
      o.push_back(trim(c));
      c.clear();
    } else
      c += ch;
  }
  c = trim(c);
  if (!c.empty()) o.push_back(c);
  return o;
}
vector<string> braces(const string& s) {
  if (s.empty() || s[0] != '{') return {s};
  return split(s.substr(1, s.rfind('}') - 1));
}
int type_size(const string& t) {
  if (t == "pred") return 1;
  if (t == "bf16") return 2;
  if (t == "f16x2" || t == "bf16x2" || t == "tf32") return 4;
  size_t d = t.find_first_of("0123456789");
  int n = d == string::npos ? 0 : atoi(t.c_str() + d);
  return n >= 8 ? n / 8 : 4;
}

const char* const special_names[] = {
    "%tid.x",          "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",      "%ntid.z",
    "%ctaid.x",        "%ctaid.y",     "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",
    "%laneid",         "%warpid",      "%nwarpid",     "%smid",        "%nsmid",       "%gridid",
    "%lanemask_eq",    "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%dynamic_smem_size",
    "%total_smem_size"};
const int n_special = sizeof special_names / sizeof *special_names;

int Parser::alloc(int lane_size) {
  int o = (k->reg_bytes + 63) & ~63;
  k->reg_bytes = o + 32 * lane_size;
  return o;
}
int Parser::constant(u64 v, int size) {
  if (size < 8) v &= (1ull << (8 * size)) - 1;
  auto key = std::make_pair(v, size);
  auto it = constant_pool.find(key);
  if (it != constant_pool.end()) return it->second;
  int o = alloc(size);
  vector<u8> b(32 * size);
  for (int l = 0; l < 32; ++l) memcpy(&b[l * size], &v, size);
  k->constants.push_back({o, b});
  constant_pool[key] = o;
  return o;
}
bool Parser::symbol(const string& n, u64* v) {
  auto sh = shared.find(n);
  if (sh != shared.end()) {
    *v = SHARED_STATIC + sh->second;
    return true;
  }
  auto ms = module_shared.find(n);
  if (ms != module_shared.end()) {
    *v = 0;
    return true;
  } // the dynamic array begins at 0
  for (auto& p : k->params)
    if (p.name == n) {
      *v = (u64)(uintptr_t)(param_buffer + p.offset);
      return true;
    }
  auto g = module->globals.find(n);
  if (g != module->globals.end()) {
    *v = (u64)(uintptr_t)g->second.p;
    return true;
  }
  return false;
}
int Parser::operand(const string& text, int size) {
  string s = trim(text);
  if (s == "_" || s.empty()) return -1;
  auto it = regs.find(s);
  if (it != regs.end()) return it->second.offset;
  for (int j = 0; j < n_special; ++j)
    if (s == special_names[j]) return k->special + j * 128;
  if (s == "WARP_SZ") return constant(32, size);
  if (s.size() > 2 && s[0] == '0' && (s[1] == 'f' || s[1] == 'F'))
    return constant(strtoull(s.c_str() + 2, nullptr, 16), size == 8 ? 8 : 4);
  if (s.size() > 2 && s[0] == '0' && (s[1] == 'd' || s[1] == 'D'))
    return constant(strtoull(s.c_str() + 2, nullptr, 16), 8);
  if (isdigit(s[0]) || s[0] == '-')
    return constant(s[0] == '-' ? (u64)strtoll(s.c_str(), nullptr, 0) : strtoull(s.c_str(), nullptr, 0), size);
  size_t plus = s.find('+');
  u64 v, add = 0;
  string n = s;
  if (plus != string::npos) {
    n = trim(s.substr(0, plus));
    add = strtoll(s.c_str() + plus + 1, nullptr, 0);
  }
  if (symbol(n, &v)) return constant(v + add, size);
  throw Unsupported{"operand " + s};
}
void Parser::memory(Ins& i, const string& text, const string& space) {
  string b = trim(text.substr(1, text.rfind(']') - 1));
  size_t p = b.find('+');
  s64 off = 0;
  if (p != string::npos) {
    off = strtoll(b.c_str() + p + 1, nullptr, 0);
    b = trim(b.substr(0, p));
  } else if ((p = b.find_last_of('-')) != string::npos && p > 0) {
    off = strtoll(b.c_str() + p, nullptr, 0);
    b = trim(b.substr(0, p));
  }
  i.imm = off;
  i.flags |= space == "shared"  ? F_SHARED
             : space == "local" ? F_LOCAL
             : space == "param" ? F_PARAM
             : space == ""      ? F_GENERIC
                                : 0;
  auto sl = slots.find(b);
  if (space == "param" && sl != slots.end()) {
    i.flags |= F_SLOT;
    i.s[0] = sl->second.offset;
    i.imm2 = sl->second.size;
    return;
  }
  auto lo = locals.find(b);
  if (lo != locals.end()) {
    i.flags |= F_LOCAL | F_LOCALSYM;
    i.imm += lo->second;
    return;
  }
  auto it = regs.find(b);
  if (it != regs.end()) {
    i.s[0] = it->second.offset;
    if (it->second.size == 8) i.flags |= F_ADDR64;
    return;
  }
  bool narrow = space == "shared";
  i.s[0] = operand(b, narrow ? 4 : 8);
  if (!narrow) i.flags |= F_ADDR64;
}
void Parser::instruction(string t) {
  Ins i;
  i.site = add_site(k, t, line, loc);
  if (!k->unsupported.empty()) return;
  try {
    if (t[0] == '@') {
      size_t e = t.find_first_of(" \t\n");
      string p = t.substr(1, e - 1);
      if (p[0] == '!') {
        i.negated = true;
        p.erase(0, 1);
      }
      i.pred = operand(p, 1);
      t = trim(t.substr(e));
    }
    size_t e = t.find_first_of(" \t\n");
    string op = t.substr(0, e);
    vector<string> a = e == string::npos ? vector<string>() : split(trim(t.substr(e)));
    vector<string> q;
    size_t s = 0, d;
    while ((d = op.find('.', s)) != string::npos) {
      q.push_back(op.substr(s, d - s));
      s = d + 1;
    }
    q.push_back(op.substr(s));
    for (auto& m : q)
      if ((d = m.find("::")) != string::npos && m.compare(0, 6, "shared") == 0)
        m = "shared";
      else if (d != string::npos && m.compare(0, 5, "param") == 0)
        m = "param";
    decode(i, op, q, a);
    k->code.push_back(i);
  } catch (Unsupported& u) {
    k->unsupported = "PTX line " + std::to_string(line) + ": " + u.what + " in `" + sites[i.site].text + "`";
    report("unsupported", nullptr, i.site, 0, "%s; the kernel cannot be launched", u.what.c_str());
  }
}

// ------------------------------------------------------------ statements
namespace {
struct Reader {
  const char* p;
  int line = 1;
  void skip_space() {
    for (;;) {
      if (*p == '\n') {
        ++line;
        ++p;
      } else if (*p && isspace((u8)*p))
        ++p;
      else if (p[0] == '/' && p[1] == '/') {
        while (*p && *p != '\n') ++p;
      } else if (p[0] == '/' && p[1] == '*') {
        while (*p && !(p[0] == '*' && p[1] == '/')) line += *p++ == '\n';
        if (*p) p += 2;
      } else
        return;
    }
  }
  string to_line_end() {
    string o;
    while (*p && *p != '\n') {
      if (p[0] == '/' && p[1] == '/') {
        while (*p && *p != '\n') ++p;
        break;
      }
      o += *p++;
    }
    return trim(o);
  }
  // up to (and over) one of the stop characters outside quotes and, for commas' sake, outside nested braces
  string until(const char* stops, char* stop, bool braces_nest) {
    string o;
    int depth = 0;
    for (;;) {
      if (!*p) {
        *stop = 0;
        return trim(o);
      }
      if (p[0] == '/' && p[1] == '/') {
        while (*p && *p != '\n') ++p;
        continue;
      }
      if (*p == '"') {
        do o += *p++;
        while (*p && *p != '"');
      }
      if (*p == '\n') {
        ++line;
        o += ' ';
        ++p;
        continue;
      }
      if (*p == ':' && p[1] == ':') {
        o += "::";
        p += 2;
        continue;
      }
      if (!depth && strchr(stops, *p)) {
        *stop = *p++;
        return trim(o);
      }
      if (braces_nest) {
        depth += *p == '{' || *p == '(';
        depth -= *p == '}' || *p == ')';
      }
      o += *p++;
    }
  }
  void skip_braces() {
    int d = 0;
    do {
      d += *p == '{';
      d -= *p == '}';
      line += *p == '\n';
      ++p;
    } while (*p && d);
  }
};
bool starts(const char* s, const char* w) { return strncmp(s, w, strlen(w)) == 0; }
bool starts(const string& s, const char* w) { return starts(s.c_str(), w); }
[[noreturn]] void fail(int line, const string& what) {
  throw std::runtime_error("PTX line " + std::to_string(line) + ": " + what);
}
u32 align_up(u32 v, u32 a) { return (v + a - 1) / a * a; }
// ".global .align 4 .b8 name[64] = {…}" → alignment, element size, name, element count, initialiser
struct Variable {
  u32 align = 0, element = 0;
  s64 count = 1;
  string type, name, init;
};
Variable variable(const string& text, int line) {
  Variable v;
  string t = text;
  size_t eq = t.find('=');
  if (eq != string::npos) {
    v.init = trim(t.substr(eq + 1));
    t = trim(t.substr(0, eq));
  }
  size_t pos = 0;
  vector<string> words;
  while (pos < t.size()) {
    size_t e = t.find_first_of(" \t", pos);
    if (e == string::npos) e = t.size();
    if (e > pos) words.push_back(t.substr(pos, e - pos));
    pos = e + 1;
  }
  for (size_t w = 0; w + 1 < words.size(); ++w) {
    const string& x = words[w];
    if (x == ".align")
      v.align = atoi(words[++w].c_str());
    else if (x[0] == '.' && type_size(x.substr(1)) && strpbrk(x.c_str(), "0123456789")) {
      v.type = x.substr(1);
      v.element = type_size(v.type);
    } else if (x == ".pred") {
      v.element = 1;
      v.type = "pred";
    }
  }
  if (words.empty()) fail(line, "declaration: " + text);
  v.name = words.back();
  size_t br = v.name.find('[');
  for (size_t b = br; b != string::npos; b = v.name.find('[', b + 1))
    v.count *= v.name[b + 1] == ']' ? -1 : strtoll(v.name.c_str() + b + 1, nullptr, 0);
  if (br != string::npos) v.name = v.name.substr(0, br);
  if (!v.align) v.align = std::max<u32>(v.element, 1);
  return v;
}
} // namespace

Module::~Module() {
  for (void* p : allocations) device_free((u8*)p, true);
}
std::unique_ptr<Module> parse_module(const char* text, int capability) {
  build_table();
  init_memory();
  auto m = std::make_unique<Module>();
  Reader r{text};
  std::unordered_map<string, u32> module_shared;
  u32 version = 0, target = 0;
  int file_base = (int)files.size();
  vector<std::pair<u8*, std::pair<Variable, int>>> inits;
  std::map<u64, int> loc_at;
  char stop;
  auto loc_of = [&](const string& d) { // ".loc f l c[, function_name label, inlined_at f l c]"
    int f = 0, l = 0, c = 0, pf = 0, pl = 0, pc = 0;
    sscanf(d.c_str(), ".loc %d %d %d", &f, &l, &c);
    size_t in = d.find("inlined_at");
    int parent = -1;
    if (in != string::npos) {
      sscanf(d.c_str() + in, "inlined_at %d %d %d", &pf, &pl, &pc);
      u64 key = (u64)pf << 48 | (u64)pl << 16 | pc;
      auto it = loc_at.find(key);
      if (it != loc_at.end())
        parent = it->second;
      else {
        locs.push_back({file_base + pf, pl, -1});
        parent = (int)locs.size() - 1;
      }
    }
    locs.push_back({file_base + f, l, parent});
    loc_at[(u64)f << 48 | (u64)l << 16 | c] = (int)locs.size() - 1;
    return (int)locs.size() - 1;
  };
  for (;;) {
    r.skip_space();
    if (!*r.p) break;
    int at = r.line;
    if (starts(r.p, ".version") || starts(r.p, ".target") || starts(r.p, ".address_size") || starts(r.p, ".file") ||
        (starts(r.p, ".loc") && isspace((u8)r.p[4])) || starts(r.p, ".section")) {
      string d = r.to_line_end();
      int a = 0, b = 0;
      if (sscanf(d.c_str(), ".version %d.%d", &a, &b) == 2)
        version = a * 10 + b;
      else if (starts(d, ".target")) {
        sscanf(d.c_str(), ".target sm_%d", &a);
        target = a;
        if (a > capability)
          throw VersionError{"PTX is for sm_" + std::to_string(a) + ", the device is " + std::to_string(capability)};
      } else if (starts(d, ".file")) {
        sscanf(d.c_str(), ".file %d", &a);
        size_t q0 = d.find('"'), q1 = d.find('"', q0 + 1);
        if (q1 != string::npos) {
          if ((int)files.size() <= file_base + a) files.resize(file_base + a + 1);
          files[file_base + a] = d.substr(q0 + 1, q1 - q0 - 1);
        }
      } else if (starts(d, ".section")) {
        r.skip_space();
        if (*r.p == '{') r.skip_braces();
      }
      continue;
    }
    if (!version) fail(at, "no .version: not PTX");
    // a declaration ends at ';', a function's head at '{'
    const char* q = r.p;
    while (*q && *q != ';' && *q != '{' && *q != '=' && *q != '(') ++q;
    string head(r.p, q);
    bool entry = head.find(".entry") != string::npos, func = head.find(".func") != string::npos;
    if (!entry && !func) {
      string d = r.until(";", &stop, true);
      if (d.empty()) continue;
      if (d.find(".alias") != string::npos || starts(d, ".pragma")) continue;
      Variable v = variable(d, at);
      s64 n = v.element * v.count;
      if (d.find(".shared") != string::npos) {
        if (d.find(".extern") == string::npos) fail(at, "module-level .shared array " + v.name);
        module_shared[v.name] = 0;
        continue;
      }
      bool constant = d.find(".const") != string::npos;
      if (!constant && d.find(".global") == string::npos) continue; // .tex and the like
      u8* p = device_alloc(n, true);
      if (!p) fail(at, "no memory for " + v.name);
      m->allocations.push_back(p);
      memset(p, 0, n);
      host_wrote(p, n);
      m->globals[v.name] = {p, (size_t)n, constant};
      if (!v.init.empty()) inits.push_back({p, {v, at}});
      continue;
    }
    string h = r.until("{;", &stop, false);
    if (func) {
      if (stop == '{') {
        --r.p;
        r.skip_braces();
      }
      continue;
    } // device functions: calls to them are refused
    auto owned = std::make_unique<Kernel>();
    Kernel* k = owned.get();
    Parser ps;
    ps.module = m.get();
    ps.k = k;
    ps.module_shared = module_shared;
    size_t en = h.find(".entry") + 6, par = h.find('(', en);
    k->name = trim(h.substr(en, par == string::npos ? string::npos : par - en));
    k->ptx_version = version;
    k->target = target;
    size_t close = h.find(')', par);
    string tail = par == string::npos ? "" : h.substr(close + 1);
    if (par != string::npos)
      for (auto& t : split(h.substr(par + 1, close - par - 1))) {
        string u = t;
        size_t ptr = u.find(".ptr");
        if (ptr != string::npos) {
          size_t e = u.rfind(' ');
          string keep = u.substr(0, ptr);
          u = keep + u.substr(e);
        }
        Variable v = variable(u, at);
        k->param_bytes = align_up(k->param_bytes, v.align);
        u32 n = v.element * (u32)v.count;
        k->params.push_back({v.name, k->param_bytes, n});
        k->param_bytes += n;
      }
    size_t mx = tail.find(".maxntid");
    if (mx != string::npos) {
      u32 a = 1, b = 1, c = 1;
      sscanf(tail.c_str() + mx, ".maxntid %u, %u, %u", &a, &b, &c);
      k->max_threads = a * b * c;
    }
    k->special = 0;
    k->reg_bytes = n_special * 128;
    if (stop == ';') continue;
    for (int depth = 1; depth;) {
      r.skip_space();
      if (!*r.p) fail(r.line, "unexpected end in " + k->name);
      ps.line = r.line;
      if (*r.p == '{') {
        ++depth;
        ++r.p;
        continue;
      }
      if (*r.p == '}') {
        --depth;
        ++r.p;
        continue;
      }
      if (starts(r.p, ".loc") && isspace((u8)r.p[4])) {
        ps.loc = loc_of(r.to_line_end());
        continue;
      }
      string t = r.until(";:", &stop, true);
      if (t.empty()) continue;
      if (stop == ':') {
        string label = t;
        r.skip_space();
        if (starts(r.p, ".branchtargets")) {
          string l = r.until(";", &stop, false);
          ps.target_lists[label] = split(l.substr(14));
        } else if (starts(r.p, ".callprototype"))
          r.until(";", &stop, false);
        else
          ps.labels[label] = (int)k->code.size();
        continue;
      }
      if (starts(t, ".pragma")) continue;
      if (starts(t, ".reg")) { // ".reg .b32 %r<58>", ".reg .pred p, q"
        string d = trim(t.substr(4));
        size_t z = d.find_first_of(" \t");
        int size = type_size(d.substr(1, z - 1));
        for (auto& n : split(d.substr(z))) {
          size_t lt = n.find('<');
          if (lt == string::npos)
            ps.regs[n] = {ps.alloc(size), size};
          else
            for (int j = 0, c = atoi(n.c_str() + lt + 1); j < c; ++j)
              ps.regs[n.substr(0, lt) + std::to_string(j)] = {ps.alloc(size), size};
        }
        continue;
      }
      if (starts(t, ".param")) {
        Variable v = variable(t, ps.line);
        int n = v.element * (int)v.count;
        ps.slots[v.name] = {ps.alloc(n), n};
        continue;
      }
      if (starts(t, ".shared") || starts(t, ".local")) {
        Variable v = variable(t, ps.line);
        u32 n = v.element * (u32)v.count;
        if (t[1] == 'l') {
          k->local = align_up(k->local, v.align);
          ps.locals[v.name] = k->local;
          k->local += n;
        } else {
          u32 o = align_up(k->shared_layout, std::max<u32>(v.align, 16));
          ps.shared[v.name] = o;
          k->shared_arrays.push_back({o, n});
          k->shared_layout = o + n + 64;
          k->shared_static = align_up(k->shared_static, v.align) + n;
        }
        continue;
      }
      ps.instruction(t);
    }
    k->local = align_up(k->local, 16);
    for (auto& f : ps.fixups) {
      auto it = ps.labels.find(f.second);
      if (it == ps.labels.end()) {
        if (k->unsupported.empty()) fail(at, "label " + f.second);
        break;
      }
      k->code[f.first].target = it->second;
    }
    for (auto& f : ps.table_fixups) {
      vector<int> tb;
      for (auto& l : ps.target_lists[f.second]) tb.push_back(ps.labels.count(l) ? ps.labels[l] : 0);
      k->code[f.first].target = (int)k->tables.size();
      k->tables.push_back(tb);
    }
    k->counters.resize(k->code.size());
    m->kernels[k->name] = std::move(owned);
  }
  // initialisers may name symbols declared later
  for (auto& in : inits) {
    u8* p = in.first;
    Variable& v = in.second.first;
    for (auto& x : braces(v.init)) {
      u64 n = 0;
      string e = trim(x);
      bool gen = starts(e, "generic(");
      string sym = gen ? trim(e.substr(8, e.rfind(')') - 8)) : e;
      size_t plus = sym.find('+');
      auto g = m->globals.find(trim(sym.substr(0, plus)));
      if (g != m->globals.end())
        n = (u64)(uintptr_t)g->second.p + (plus == string::npos ? 0 : strtoll(sym.c_str() + plus + 1, nullptr, 0));
      else if (e[0] == '0' && e.size() > 1 && strchr("fFdD", e[1]))
        n = strtoull(e.c_str() + 2, nullptr, 16);
      else if (isdigit((u8)e[0]) || e[0] == '-')
        n = e[0] == '-' ? (u64)strtoll(e.c_str(), nullptr, 0) : strtoull(e.c_str(), nullptr, 0);
      else
        fail(in.second.second, "initialiser " + e);
      memcpy(p, &n, v.element);
      p += v.element;
    }
  }
  for (auto& g : m->globals)
    if (g.second.constant) set_access(g.second.p, g.second.size, true);
  return m;
}
} // namespace sim
