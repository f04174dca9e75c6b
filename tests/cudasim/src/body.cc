// The body of a kernel: declarations, labels, source positions, and instructions, which ops/ bind.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <stdexcept>

#include "binder.h"
#include "module.h"
#include "report.h"
#include "text.h"

namespace cudasim {

namespace {

constexpr u32 kSharedGap = 64; // after each shared array, so that an overrun meets no other

u32 align_up(u32 value, u32 alignment) { return (value + alignment - 1) / alignment * alignment; }

class BodyReader {
 public:
  explicit BodyReader(Kernel& kernel) : kernel(kernel), binder(*kernel.module, kernel) {
    cursor.at = kernel.module->text.c_str() + kernel.body;
    cursor.line = kernel.body_line;
  }

  void read() {
    for (int depth = 1; depth > 0;) {
      cursor.skip_space();
      line = cursor.line;
      switch (*cursor.at) {
        case 0:
          fail(line, "unexpected end in " + kernel.name);
        case '{':
          ++cursor.at;
          ++depth;
          binder.open_scope();
          break;
        case '}':
          ++cursor.at;
          if (--depth > 0) close_scope();
          break;
        default:
          statement();
      }
    }
    close_scope();
    kernel.local_bytes = align_up(kernel.local_bytes, 16);
    kernel.counters.resize(kernel.code.size());
  }

 private:
  void close_scope() {
    try {
      binder.close_scope();
    } catch (const std::runtime_error& e) { fail(line, e.what()); }
  }

  void statement() {
    if (*cursor.at == '.' && cursor.starts_with(".loc")) {
      location(std::string(cursor.rest_of_line()));
      return;
    }
    char stop;
    const std::string_view text = cursor.until(";:", true, &stop);
    if (stop == 0) fail(line, "a statement without an end in " + kernel.name);
    if (text.empty()) return;
    if (stop == ':') {
      label(text);
    } else if (text[0] == '.') {
      declaration(text);
    } else {
      instruction(text);
    }
  }

  // ".loc file line column[, function_name label, inlined_at file line column]"
  void location(const std::string& text) {
    int file = 0;
    int number = 0;
    int column = 0;
    sscanf(text.c_str(), ".loc %d %d %d", &file, &number, &column);
    int parent = kNone;
    const size_t inlined = text.find("inlined_at");
    if (inlined != text.npos) {
      int f = 0;
      int l = 0;
      int c = 0;
      sscanf(text.c_str() + inlined, "inlined_at %d %d %d", &f, &l, &c);
      const auto [known, is_new] = last_at.try_emplace(position(f, l, c), int(kernel.locations.size()));
      if (is_new) kernel.locations.push_back({f, l, kNone});
      parent = known->second;
    }
    const Location here{file, number, parent};
    current = int(kernel.locations.size());
    kernel.locations.push_back(here);
    last_at[position(file, number, column)] = current;
  }

  static u64 position(int file, int number, int column) { return u64(file) << 48 | u64(number) << 16 | u64(column); }

  void label(std::string_view name) {
    cursor.skip_space();
    char stop;
    if (cursor.starts_with(".branchtargets")) {
      constexpr size_t kWord = sizeof ".branchtargets" - 1;
      split(cursor.until(";", false, &stop).substr(kWord), binder.scope().target_lists[name]);
    } else if (cursor.starts_with(".callprototype")) {
      cursor.until(";", false, &stop);
    } else {
      binder.scope().symbols[name] = {SymbolKind::kLabel, int(kernel.code.size()), 0};
    }
  }

  void declaration(std::string_view text) {
    if (text.starts_with(".pragma")) return;
    if (text.starts_with(".reg")) return registers(trim(text.substr(4)));
    Declaration d;
    try {
      d = parse_declaration(text);
    } catch (const std::runtime_error& e) { fail(line, e.what()); }
    const int bytes = int(d.bytes());
    Symbol& symbol = binder.scope().symbols[own(d.name)];
    if (text.starts_with(".param")) {
      symbol = {SymbolKind::kSlot, binder.allocate(bytes), bytes};
    } else if (text.starts_with(".local")) {
      kernel.local_bytes = align_up(kernel.local_bytes, d.alignment);
      symbol = {SymbolKind::kLocalArray, int(kernel.local_bytes), bytes};
      kernel.local_bytes += u32(bytes);
    } else if (text.starts_with(".shared")) {
      const u32 offset = align_up(kernel.shared_layout, std::max<u32>(d.alignment, 16));
      symbol = {SymbolKind::kSharedArray, int(offset), bytes};
      kernel.shared_arrays.push_back({offset, u32(bytes)});
      kernel.shared_layout = offset + u32(bytes) + kSharedGap;
      kernel.shared_bytes = align_up(kernel.shared_bytes, d.alignment) + u32(bytes);
    } else {
      fail(line, "declaration: " + std::string(text));
    }
  }

  // ".b32 %r<58>", ".pred p, q"
  void registers(std::string_view text) {
    const size_t space = text.find_first_of(" \t");
    if (space == text.npos) fail(line, "a .reg without names");
    const int size = size_of_type(text.substr(1, space - 1));
    std::vector<std::string_view> names;
    split(trim(text.substr(space)), names);
    for (std::string_view name : names) {
      const size_t angle = name.find('<');
      if (angle == name.npos) {
        binder.scope().symbols[name] = {SymbolKind::kRegister, binder.allocate(size), size};
        continue;
      }
      const int count = int(parse_integer(name.substr(angle + 1, name.find('>') - angle - 1)));
      const int stride = (kLanes * size + 63) / 64 * 64;
      const int first = binder.allocate(stride * count / kLanes);
      binder.scope().families.push_back({name.substr(0, angle), first, count, size, stride});
    }
  }

  // Symbols are looked up by views of their names; this one's text is a copy.
  std::string_view own(const std::string& name) { return *names.insert(name).first; }

  void instruction(std::string_view text) {
    const Origin origin{line, current, text};
    if (!kernel.unsupported.empty()) return; // nothing more is needed
    Instruction i;
    try {
      bind(i, text);
    } catch (const Unsupported& u) {
      kernel.unsupported = "PTX line " + std::to_string(line) + ": " + u.what;
      report_unsupported(kernel, origin, u.what);
      return;
    }
    kernel.code.push_back(i);
    kernel.origins.push_back(origin);
  }

  void bind(Instruction& i, std::string_view text) {
    if (text[0] == '@') {
      const size_t end = text.find_first_of(" \t\n");
      if (end == text.npos) fail(line, "a predicate without an instruction");
      std::string_view predicate = text.substr(1, end - 1);
      i.predicate_negated = predicate[0] == '!';
      if (i.predicate_negated) predicate.remove_prefix(1);
      i.predicate = binder.input(predicate, 1);
      text = trim(text.substr(end));
    }
    const size_t end = std::min(text.find_first_of(" \t\n"), text.size());
    binder.mnemonic = text.substr(0, end);
    split(trim(text.substr(end)), binder.operands);
    const Opcode* op = find_opcode(binder.mnemonic);
    op->bind(binder, i, *op);
  }

  Kernel& kernel;
  Binder binder;
  Cursor cursor{nullptr};
  u32 line = 0;
  int current = kNone;
  std::map<u64, int> last_at; // the last location at a file, line and column
  std::set<std::string> names;
};

} // namespace

void read_kernel(Kernel& kernel) {
  if (kernel.read) return;
  if (!kernel.has_body) throw std::runtime_error("kernel " + kernel.name + " has no body");
  BodyReader(kernel).read();
  kernel.read = true;
}

} // namespace cudasim
