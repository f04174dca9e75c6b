#include "module.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "binder.h"
#include "checker.h"
#include "memory.h"
#include "text.h"

namespace cudasim {

namespace {

u32 align_up(u32 value, u32 alignment) { return (value + alignment - 1) / alignment * alignment; }

struct Initialiser {
  u8* to;
  Declaration declaration;
  u32 line;
};

class ModuleReader {
 public:
  ModuleReader(const char* text, int capability) : module(std::make_unique<Module>()), capability(capability) {
    module->text = text;
    blank_comments(module->text);
    cursor.at = module->text.c_str();
  }

  std::unique_ptr<Module> read() {
    for (cursor.skip_space(); *cursor.at; cursor.skip_space()) {
      if (directive()) continue;
      if (!module->ptx_version) fail(cursor.line, "no .version: not PTX");
      if (!function()) variable();
    }
    if (!module->ptx_version) fail(cursor.line, "no .version: not PTX");
    for (const Initialiser& i : initialisers) initialise(i);
    for (const auto& [name, global] : module->globals)
      if (global.constant) device_set_state(global.address, State::kConstant);
    return std::move(module);
  }

 private:
  // .version and the like, which end with their line
  bool directive() {
    if (cursor.starts_with(".version")) {
      const std::string line(cursor.rest_of_line());
      int major = 0;
      int minor = 0;
      sscanf(line.c_str(), ".version %d.%d", &major, &minor);
      module->ptx_version = u32(major * 10 + minor);
    } else if (cursor.starts_with(".target")) {
      const std::string line(cursor.rest_of_line());
      int target = 0;
      sscanf(line.c_str(), ".target sm_%d", &target);
      module->target = u32(target);
      if (target > capability)
        throw TargetError{"PTX is for sm_" + std::to_string(target) + ", the device is " + std::to_string(capability)};
    } else if (cursor.starts_with(".file")) {
      file(std::string(cursor.rest_of_line()));
    } else if (cursor.starts_with(".section")) {
      cursor.rest_of_line();
      cursor.skip_space();
      if (*cursor.at == '{') cursor.skip_braces();
    } else if (cursor.starts_with(".address_size") || cursor.starts_with(".loc")) {
      cursor.rest_of_line();
    } else {
      return false;
    }
    return true;
  }

  void file(const std::string& line) {
    int number = 0;
    sscanf(line.c_str(), ".file %d", &number);
    const size_t open = line.find('"');
    const size_t close = line.find('"', open + 1);
    if (number < 0 || close == line.npos) return;
    if (module->files.size() <= size_t(number)) module->files.resize(number + 1);
    module->files[number] = line.substr(open + 1, close - open - 1);
  }

  bool function() {
    Cursor ahead = cursor;
    bool entry = false;
    for (;;) { // .visible .weak .extern before it
      if (ahead.starts_with(".entry") || ahead.starts_with(".func")) break;
      if (!ahead.starts_with(".visible") && !ahead.starts_with(".weak") && !ahead.starts_with(".extern")) return false;
      ahead.at += 1 + strcspn(ahead.at + 1, ". \t\n");
      ahead.skip_space();
    }
    entry = ahead.starts_with(".entry");
    const u32 line = cursor.line;
    char stop;
    const std::string_view head = cursor.until("{;", false, &stop);
    if (entry) { kernel(head.substr(head.find(".entry") + 6), line, stop == '{'); }
    if (stop != '{') return true;
    --cursor.at;
    cursor.skip_braces();
    return true;
  }

  // "name(.param .u64 name_param_0, …) .maxntid 256, 1, 1"
  void kernel(std::string_view head, u32 line, bool has_body) {
    auto k = std::make_unique<Kernel>();
    k->module = module.get();
    const size_t open = head.find('(');
    const size_t close = head.find(')');
    size_t end_of_name = open;
    std::string_view tail;
    if (open == head.npos) {
      end_of_name = head.find_first_of(" \t\n.", head.find_first_not_of(" \t\n"));
      tail = end_of_name == head.npos ? "" : head.substr(end_of_name);
    } else {
      tail = head.substr(close + 1);
      parameters(*k, head.substr(open + 1, close - open - 1), line);
    }
    k->name = trim(head.substr(0, end_of_name));
    const size_t bounds = tail.find(".maxntid");
    if (bounds != tail.npos) {
      u32 x = 1;
      u32 y = 1;
      u32 z = 1;
      sscanf(std::string(tail.substr(bounds)).c_str(), ".maxntid %u, %u, %u", &x, &y, &z);
      k->max_threads = x * y * z;
    }
    k->has_body = has_body;
    k->body = size_t(cursor.at - module->text.c_str());
    k->body_line = cursor.line;
    module->kernels[k->name] = std::move(k);
  }

  void parameters(Kernel& k, std::string_view list, u32 line) {
    std::vector<std::string_view> items;
    split(list, items);
    for (std::string_view item : items) {
      const size_t hint = item.find(".ptr"); // ".u64 .ptr .global .align 4 name"
      const std::string plain =
          hint == item.npos ? std::string(item)
                            : std::string(item.substr(0, hint)) + std::string(item.substr(item.find_last_of(" \t\n")));
      const Declaration d = declaration(plain, line);
      k.parameter_bytes = align_up(k.parameter_bytes, d.alignment);
      k.parameters.push_back({d.name, k.parameter_bytes, u32(d.bytes())});
      k.parameter_bytes += u32(d.bytes());
    }
    if (k.parameter_bytes > kParameterBytes - 64) fail(line, "too many bytes of parameters");
  }

  static Declaration declaration(std::string_view text, u32 line) {
    try {
      return parse_declaration(text);
    } catch (const std::runtime_error& e) { fail(line, e.what() + std::string(": ") + std::string(text)); }
  }

  void variable() {
    const u32 line = cursor.line;
    char stop;
    const std::string_view text = cursor.until(";", true, &stop);
    if (text.empty()) return;
    const bool constant = text.find(".const") != text.npos;
    const bool is_shared = text.find(".shared") != text.npos;
    if (!constant && !is_shared && text.find(".global") == text.npos) return; // .alias, .pragma, textures
    const Declaration d = declaration(text, line);
    if (is_shared) {
      if (text.find(".extern") == text.npos) fail(line, "a .shared array of the module: " + d.name);
      module->dynamic_shared.push_back(d.name);
      return;
    }
    u8* p = device_allocate(size_t(d.bytes()), State::kReady);
    if (!p) fail(line, "no memory for " + d.name);
    memset(p, 0, size_t(d.bytes()));
    host_wrote(p, size_t(d.bytes()));
    module->globals[d.name] = {p, size_t(d.bytes()), constant};
    if (!d.initialiser.empty()) initialisers.push_back({p, d, line});
  }

  // After everything has been read: an initialiser may name what is declared later.
  void initialise(const Initialiser& i) {
    std::string_view text = i.declaration.initialiser;
    std::vector<std::string_view> values;
    if (text[0] == '{') text = text.substr(1, text.rfind('}') - 1);
    split(text, values);
    u8* to = i.to;
    for (std::string_view value : values) {
      const u64 bits = initial_value(value, i.line);
      memcpy(to, &bits, i.declaration.element);
      to += i.declaration.element;
    }
  }

  u64 initial_value(std::string_view text, u32 line) {
    if (text.starts_with("generic(")) text = trim(text.substr(8, text.rfind(')') - 8));
    const size_t plus = text.find('+');
    const auto symbol = module->globals.find(trim(text.substr(0, plus)));
    if (symbol != module->globals.end())
      return u64(symbol->second.address) + (plus == text.npos ? 0 : u64(parse_integer(text.substr(plus + 1))));
    if (text.size() > 2 && text[0] == '0' && strchr("fFdD", text[1]))
      return strtoull(std::string(text.substr(2)).c_str(), nullptr, 16);
    if (isdigit(u8(text[0])) || text[0] == '-') return u64(parse_integer(text));
    fail(line, "initialiser " + std::string(text));
  }

  std::unique_ptr<Module> module;
  int capability;
  Cursor cursor;
  std::vector<Initialiser> initialisers;
};

} // namespace

Module::~Module() {
  for (const auto& [name, global] : globals) device_free(global.address);
}

std::unique_ptr<Module> read_module(const char* text, int capability) { return ModuleReader(text, capability).read(); }

} // namespace cudasim
